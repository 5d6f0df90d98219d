// The one gate to the network, in main, and the ledger of everything that tried. Nothing in this app may connect by
// itself; what the user asks for passes here, unless the user has switched the network off.
import { appError } from '../common/app-error.ts';
import type { Connection } from '../common/connections.ts';

/** Enough to see what goes on; a page that tries in a loop must not fill the memory. */
const mostKept = 500;

interface NetworkLedgerOptions {
  /** The user's switch. */
  isAllowed: () => boolean;
  onConnection: (connection: Connection) => void;
  nowMs?: () => number;
}

export class NetworkLedger {
  readonly #options: NetworkLedgerOptions;
  #connections: Connection[] = [];
  #nextId = 1;

  constructor(options: NetworkLedgerOptions) {
    this.#options = options;
  }

  /** The newest last. */
  get connections(): readonly Connection[] {
    return this.#connections;
  }

  /** Something tried without asking, and was stopped. */
  blocked(from: Connection['from'], target: string): void {
    this.#add({ from, target: shortened(target), purpose: 'Nobody asked for it.', isAllowed: false });
  }

  /** The user asks for a connection. @throws NETWORK_OFF, which is in the ledger, too */
  ask(purpose: string, url: string): void {
    const isAllowed = this.#options.isAllowed();
    this.#add({ from: 'main', target: shortened(url), purpose, isAllowed });
    if (isAllowed) return;
    throw appError('NETWORK_OFF', `The network is switched off, so ${new URL(url).host} was not reached.`, {
      hint: 'Switch it on in the list of connections, in the status bar.',
    });
  }

  /**
   * For an errand of many requests, such as a download: each asks the switch, and each host is written down once.
   * @returns throws NETWORK_OFF
   */
  gate(purpose: string): (url: string) => void {
    const known = new Set<string>();
    return (url) => {
      const { origin } = new URL(url);
      if (known.has(origin) && this.#options.isAllowed()) return;
      this.ask(purpose, url);
      known.add(origin);
    };
  }

  #add(entry: Omit<Connection, 'id' | 'atMs'>): void {
    const { nowMs = Date.now, onConnection } = this.#options;
    const connection = { ...entry, id: this.#nextId++, atMs: nowMs() };
    this.#connections = [...this.#connections, connection].slice(-mostKept);
    onConnection(connection);
  }
}

/** Paths and queries may hold secrets, and text that a page wants to get out. */
function shortened(target: string): string {
  if (!/^[\w+.-]+:\/\//.test(target)) return target.slice(0, 200);
  const { protocol, host } = new URL(target);
  return `${protocol}//${host}`.slice(0, 200);
}
