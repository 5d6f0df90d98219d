// Serving a contract on a MessagePort, the same way in every process.
import { mapEventIterator } from '@orpc/client';
import { type AnyRouter, ORPCError } from '@orpc/server';
import { RPCHandler } from '@orpc/server/message-port';
import { z } from 'zod';
import './no-forms.ts';
import { appError } from './app-error.ts';
import { isAbort, isAppErrorCode } from './error-info.ts';
import type { ServePortMessage } from './ports.ts';

/** What Electron's MessagePortMain offers; named here so that no Electron type is needed. */
interface ServablePort {
  on(event: 'message' | 'close', listener: (event?: { data: unknown }) => void): unknown;
  postMessage(message: unknown): void;
  start(): void;
}

/**
 * Answers calls on a port until it closes; calls that still run are aborted then. Anything a procedure throws that
 * is not one of our errors is a bug: it is logged here and reaches the caller as `INTERNAL`, with its stack. A message
 * that is no call at all is dropped: whatever the other end sends, this process goes on.
 * @param onFailure hears of what a procedure or a stream throws, before the caller does
 */
export function serve(router: AnyRouter, port: ServablePort, onFailure: (error: unknown) => void = () => {}): void {
  const handler = new RPCHandler(router, {
    clientInterceptors: [
      async ({ next, path }) => {
        const failed = async (error: unknown) => {
          onFailure(error);
          return toAppError(error, path.join('.'));
        };
        try {
          const result = await next();
          return isStream(result) ? mapEventIterator(result, { value: async (event) => event, error: failed }) : result;
        } catch (error) {
          throw await failed(error);
        }
      },
    ],
  });
  handler.upgrade({
    on: (event: 'message' | 'close', listener: (event?: { data: unknown }) => void) =>
      port.on(event, (message) => {
        const data = event === 'message' ? parseMessage(message?.data) : null;
        if (event === 'close' || data !== null) listener(data === null ? undefined : { data });
      }),
    postMessage: (message: unknown) => port.postMessage(message),
    // biome-ignore lint/suspicious/noExplicitAny: the library's port type is that of browsers, and not exported
  } as any);
  port.start();
}

function isStream(value: unknown): value is AsyncIterator<unknown, unknown, undefined> {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value;
}

/** Room for 64 texts of a million characters and a long conversation. More would only fill this process's memory. */
export const kMostMessageChars = 96 * 2 ** 20;

const text = z.string();
/** How the library writes a call without files, an event of a stream, and an abort: what we use, and nothing else. */
const messageSchema = z.union([
  z.strictObject({ i: text, p: z.strictObject({ u: text.regex(/^\/[\w/]+$/), b: z.unknown().optional() }) }),
  z.strictObject({ i: text, t: z.literal(3), p: z.looseObject({ e: text }) }),
  z.strictObject({ i: text, t: z.literal(4), p: z.unknown().optional() }),
]);

/** Null, and logged, for what the library could not read: its error would end the process. */
function parseMessage(data: unknown): object | null {
  try {
    return messageSchema.parse(JSON.parse(text.max(kMostMessageChars).parse(data)));
  } catch (error) {
    // biome-ignore lint/suspicious/noConsole: a bug of ours, or a window that was taken over; the log should tell
    console.error('A message was dropped:', error);
    return null;
  }
}

function toAppError(error: unknown, path: string): unknown {
  if (isAbort(error) || (error instanceof ORPCError && isAppErrorCode(error.code))) return error;
  // biome-ignore lint/suspicious/noConsole: a bug of ours; the process's log is where it belongs
  console.error(`${path} failed:`, error);
  const detail =
    error instanceof ORPCError && error.data !== undefined
      ? JSON.stringify(error.data)
      : error instanceof Error
        ? error.stack
        : String(error);
  return appError('INTERNAL', `Something unexpected went wrong in ${path}.`, { detail: detail ?? 'no details' }, error);
}

/** Electron's `process.parentPort`, as far as it is used here. */
interface ParentPort {
  on(event: 'message', listener: (event: { data: unknown; ports: ServablePort[] }) => void): unknown;
}

/** In a utility process: serves every port that main hands over, each client with its own router. */
export function serveParentPorts(
  parentPort: ParentPort,
  routers: Record<ServePortMessage['client'], AnyRouter>,
  onFailure?: (error: unknown) => void,
): void {
  parentPort.on('message', ({ data, ports }) => {
    const { type, client } = data as ServePortMessage;
    const [port] = ports;
    if (type === 'serve' && port) serve(routers[client], port, onFailure);
  });
}
