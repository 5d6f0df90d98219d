// A client of a router over a real MessageChannel: what it calls is encoded, validated and cancelled as in the app.
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { createORPCClient } from '@orpc/client';
import { RPCLink } from '@orpc/client/message-port';
import type { AnyContractRouter, ContractRouterClient } from '@orpc/contract';
import type { AnyRouter } from '@orpc/server';
import { onTestFinished } from 'vitest';
import { serve } from '../common/serve.ts';

/** A port as Electron's main and utility processes see it. */
export function asElectronPort(port: MessagePort): Parameters<typeof serve>[1] {
  return {
    on: (event, listener) =>
      event === 'message'
        ? port.on('message', (data: unknown) => listener({ data }))
        : port.on('close', () => listener()),
    postMessage: (message) => port.postMessage(message),
    start: () => port.start(),
  };
}

/** @returns the client, and its end of the channel: closing it is what the death of a window looks like */
export function connect<T extends AnyContractRouter>(
  _contract: T,
  router: AnyRouter,
  onFailure?: (error: unknown) => void,
): { client: ContractRouterClient<T>; port: MessagePort } {
  const { port1, port2 } = new MessageChannel();
  onTestFinished(() => port2.close());
  serve(router, asElectronPort(port1), onFailure);
  const client: ContractRouterClient<T> = createORPCClient(new RPCLink({ port: port2 as never }));
  port2.start();
  return { client, port: port2 };
}
