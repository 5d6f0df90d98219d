// The ledger of connections and the switch that ends all of them.
import { useStore } from 'zustand';
import { Dialog } from '../../ui/dialog.tsx';
import { SwitchField } from '../../ui/field.tsx';
import styles from './network-dialog.module.css';
import { countConnections, type NetworkStore } from './network-store.ts';

interface NetworkDialogProps {
  network: NetworkStore;
  isOff: boolean;
  nTerminals: number;
  onSwitch: (isOff: boolean) => void;
  onClose: () => void;
}

const kFrom = {
  window: 'The window',
  main: 'Main process',
  engine: 'The engine',
  workspace: 'Files and search',
  terminal: 'The process of the terminals',
};

export function NetworkDialog({ network, isOff, nTerminals, onSwitch, onClose }: NetworkDialogProps) {
  const connections = useStore(network.store, (state) => state.connections);
  const { nMade, nBlocked } = countConnections(connections);
  return (
    <Dialog
      title="Connections"
      description={`Since it started, Outpost made ${nMade} ${nMade === 1 ? 'connection' : 'connections'} and blocked ${nBlocked}. It connects only when you ask for it.`}
      size="wide"
      onClose={onClose}
    >
      <SwitchField
        label="Switch the network off"
        hint="Then nothing leaves this machine through Outpost, whatever you click."
        isOn={isOff}
        onChange={onSwitch}
      />
      <p className={styles.empty}>
        Terminals are yours: what you run in one has the network that it has anywhere else, and is not in this list.{' '}
        {nTerminals === 0 ? 'None is open.' : nTerminals === 1 ? 'One is open.' : `${nTerminals} are open.`}
      </p>
      {connections.length === 0 ? (
        <p className={styles.empty}>Nothing has tried to use the network.</p>
      ) : (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a long list scrolls, also by keyboard
        <section aria-label="Attempts, newest first" tabIndex={0} className={styles.scroll}>
          <table className={styles.table}>
            <thead>
              <tr>
                <th scope="col">Time</th>
                <th scope="col">Where to</th>
                <th scope="col">From</th>
                <th scope="col">What for</th>
              </tr>
            </thead>
            <tbody>
              {[...connections].reverse().map(({ id, atMs, from, target, purpose, isAllowed }) => (
                <tr key={id}>
                  <td>{new Date(atMs).toLocaleTimeString()}</td>
                  <td className={styles.target}>{target}</td>
                  <td>{kFrom[from]}</td>
                  <td>{isAllowed ? purpose : `Blocked. ${purpose}`}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </section>
      )}
    </Dialog>
  );
}
