// Main's own calls to a utility process.
import { createORPCClient } from '@orpc/client';
import { RPCLink } from '@orpc/client/message-port';
import type { AnyContractRouter, ContractRouterClient } from '@orpc/contract';
import type { MessagePortMain } from 'electron';

/** @param _contract names the type; the other end validates */
export function controlClient<T extends AnyContractRouter>(
  port: MessagePortMain,
  _contract: T,
): ContractRouterClient<T> {
  // biome-ignore lint/suspicious/noExplicitAny: the library's port type lacks the overloads of Electron's
  const link = new RPCLink({ port: port as any });
  port.start();
  return createORPCClient(link);
}
