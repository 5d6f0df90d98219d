// Main's own calls to a utility process.
import { createORPCClient } from '@orpc/client';
import { RPCLink } from '@orpc/client/message-port';
import type { AnyContractRouter, ContractRouterClient } from '@orpc/contract';
import type { MessagePortMain } from 'electron';

/**
 * Every call ends: with an `AbortError` if the process is gone, or goes before it has answered.
 * @param _contract names the type; the other end validates
 */
export function controlClient<T extends AnyContractRouter>(
  port: MessagePortMain,
  _contract: T,
): ContractRouterClient<T> {
  let isClosed = false;
  port.once('close', () => {
    isClosed = true;
  });
  const link = new RPCLink({
    // biome-ignore lint/suspicious/noExplicitAny: the library's port type lacks the overloads of Electron's
    port: port as any,
    interceptors: [
      ({ next }) => {
        // The library ends the calls that wait when the port closes; one that comes later would wait for ever.
        if (isClosed) throw new DOMException('The process has ended.', 'AbortError');
        return next();
      },
    ],
  });
  port.start();
  return createORPCClient(link);
}
