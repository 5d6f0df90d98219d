// The ledger of connections as the window knows it.
import { createStore, type StoreApi } from 'zustand/vanilla';
import type { Connection } from '../../../electron/common/connections.ts';

const kMostKept = 500;

export interface NetworkState {
  connections: readonly Connection[];
}

export class NetworkStore {
  readonly store: StoreApi<NetworkState>;

  constructor(connections: readonly Connection[]) {
    this.store = createStore<NetworkState>(() => ({ connections }));
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
