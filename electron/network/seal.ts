// Takes the network away from a Node process: every socket that would leave it is refused before a packet is sent, and
// reported. Pipes and Unix sockets stay. Programs that a process starts are not covered.
import dgram from 'node:dgram';
import dns from 'node:dns';
import { syncBuiltinESMExports } from 'node:module';
import net from 'node:net';

export class NetworkSealedError extends Error {
  readonly code = 'ENETUNREACH';

  constructor(target: string) {
    super(`Outpost made no connection to ${target}: this process may not use the network.`);
  }
}

type Loose = (...args: unknown[]) => unknown;

/**
 * For the life of the process. HTTP, TLS, `fetch` and WebSockets of Node all end in these calls.
 * @param onAttempt gets "host:port", or the name that was to be looked up
 */
export function sealNetwork(onAttempt: (target: string) => void): void {
  const refused = (target: string) => {
    onAttempt(target);
    return new NetworkSealedError(target);
  };
  const socket = net.Socket.prototype as unknown as Record<'connect', Loose>;
  const connect = socket.connect;
  socket.connect = function (this: net.Socket, ...args) {
    const target = targetOf(args);
    if (target === null) return connect.apply(this, args);
    const error = refused(target);
    process.nextTick(() => this.destroy(error));
    return this;
  };
  const datagram = dgram.Socket.prototype as unknown as Record<string, Loose>;
  for (const name of ['send', 'connect']) {
    datagram[name] = () => {
      throw refused('a datagram socket');
    };
  }
  sealNames(dns as unknown as Record<string, Loose>, (error, args) => {
    const answer = args.findLast((arg) => typeof arg === 'function') as Loose | undefined;
    process.nextTick(() => answer?.(error));
  });
  sealNames(dns.promises as unknown as Record<string, Loose>, (error) => Promise.reject(error));

  function sealNames(module: Record<string, Loose>, refuse: (error: Error, args: unknown[]) => unknown): void {
    for (const name of Object.keys(module)) {
      if (!/^(?:lookup|resolve|reverse)/.test(name) || typeof module[name] !== 'function') continue;
      module[name] = (...args) => refuse(refused(String(args[0])), args);
    }
  }
  syncBuiltinESMExports();
}

/** Where a call of `connect` leads; null for a pipe of this machine. Node passes its own calls on as one list. */
function targetOf(args: readonly unknown[]): string | null {
  const [first, second] = Array.isArray(args[0]) ? args[0] : args;
  if (typeof first === 'object' && first !== null) {
    const { path, host, port } = first as { path?: string; host?: string; port?: number | string };
    return path ? null : `${host ?? 'localhost'}:${port}`;
  }
  if (typeof first === 'string' && !/^\d+$/.test(first)) return null;
  return `${typeof second === 'string' ? second : 'localhost'}:${String(first)}`;
}
