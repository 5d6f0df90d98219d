// The ledger of connections as the window knows it.
import { createStore, type StoreApi } from 'zustand/vanilla';
import type { Connection } from '../../../electron/common/connections.ts';

const kMostKept = 500;

export interface NetworkState {
  connections: readonly Connection[];
}

export class NetworkStore {
  readonly store: StoreApi<NetworkState>;
  #nStopped = 0;

  constructor(connections: readonly Connection[]) {
    this.store = createStore<NetworkState>(() => ({ connections }));
  }

  /** The page's own policy stopped a request, before main could see it. @param target as the browser tells it */
  stoppedByPolicy(target: string, atMs: number): void {
    this.#nStopped += 1;
    const shown = URL.canParse(target) ? new URL(target).host || new URL(target).protocol : target;
    const purpose = 'Nobody asked for it.';
    this.received({
      id: -this.#nStopped,
      atMs,
      from: 'window',
      purpose,
      target: shown.slice(0, 200),
      isAllowed: false,
    });
  }

  received(connection: Connection): void {
    this.store.setState(({ connections }) => {
      if (connections.some(({ id }) => id === connection.id)) return {};
      return { connections: [...connections, connection].slice(-kMostKept) };
    });
  }
}

export function countConnections(connections: readonly Connection[]): { nMade: number; nBlocked: number } {
  const nMade = connections.filter(({ isAllowed }) => isAllowed).length;
  return { nMade, nBlocked: connections.length - nMade };
}
