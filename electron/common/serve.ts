// Serving a contract on a MessagePort, the same way in every process.
import { type AnyRouter, ORPCError } from '@orpc/server';
import { RPCHandler } from '@orpc/server/message-port';
import { appError } from './app-error.ts';
import { isAbort } from './error-info.ts';
import type { ServePortMessage } from './ports.ts';

/** What Electron's MessagePortMain offers; named here so that no Electron type is needed. */
interface ServablePort {
  on(event: 'message' | 'close', listener: (event?: { data: unknown }) => void): unknown;
  postMessage(message: unknown): void;
  start(): void;
}

/**
 * Answers calls on a port until it closes; calls that still run are aborted then. Anything a procedure throws that
 * is not one of our errors is a bug: it is logged here and reaches the caller as `INTERNAL`, with its stack.
 */
export function serve(router: AnyRouter, port: ServablePort): void {
  const handler = new RPCHandler(router, {
    clientInterceptors: [
      async ({ next, path }) => {
        try {
          return await next();
        } catch (error) {
          throw toAppError(error, path.join('.'));
        }
      },
    ],
  });
  // biome-ignore lint/suspicious/noExplicitAny: the library's port type is looser than this one and not exported
  handler.upgrade(port as any);
  port.start();
}

function toAppError(error: unknown, path: string): unknown {
  if (isAbort(error) || (error instanceof ORPCError && error.code !== 'BAD_REQUEST')) return error;
  // biome-ignore lint/suspicious/noConsole: a bug of ours; the process's log is where it belongs
  console.error(`${path} failed:`, error);
  const detail =
    error instanceof ORPCError ? JSON.stringify(error.data) : error instanceof Error ? error.stack : String(error);
  return appError('INTERNAL', `Something unexpected went wrong in ${path}.`, { detail: detail ?? 'no details' }, error);
}

/** Electron's `process.parentPort`, as far as it is used here. */
interface ParentPort {
  on(event: 'message', listener: (event: { data: unknown; ports: ServablePort[] }) => void): unknown;
}

/** In a utility process: serves every port that main hands over, each client with its own router. */
export function serveParentPorts(parentPort: ParentPort, routers: Record<ServePortMessage['client'], AnyRouter>): void {
  parentPort.on('message', ({ data, ports }) => {
    const { type, client } = data as ServePortMessage;
    const [port] = ports;
    if (type === 'serve' && port) serve(routers[client], port);
  });
}
