// The status bar's word on the network: how many connections there were since the start.
import { Unplug, Wifi } from 'lucide-react';
import { useStore } from 'zustand';
import { Tooltip } from '../../ui/tooltip.tsx';
import { countConnections, type NetworkStore } from './network-store.ts';

interface NetworkChipProps {
  network: NetworkStore;
  isOff: boolean;
  className: string | undefined;
  onOpen: () => void;
}

export function NetworkChip({ network, isOff, className, onOpen }: NetworkChipProps) {
  const connections = useStore(network.store, (state) => state.connections);
  const { nMade, nBlocked } = countConnections(connections);
  const text = `${nMade} ${nMade === 1 ? 'connection' : 'connections'}${nBlocked > 0 ? `, ${nBlocked} blocked` : ''}`;
  const Icon = isOff || nMade === 0 ? Unplug : Wifi;
  return (
    <Tooltip
      side="top"
      label={`Since the start: ${text}. The network is ${isOff ? 'switched off' : 'only used when you ask'}.`}
    >
      <button type="button" className={className} aria-label={`${text} since the start`} onClick={onOpen}>
        <Icon size={13} aria-hidden />
        {text}
      </button>
    </Tooltip>
  );
}
