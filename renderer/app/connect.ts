// The typed API over the ports. Answers are checked against the contract here, as questions are at the other end.
import { type ClientLink, createORPCClient, DynamicLink } from '@orpc/client';
import { RPCLink } from '@orpc/client/message-port';
import type { AnyContractRouter } from '@orpc/contract';
import { ResponseValidationPlugin } from '@orpc/contract/plugins';
import type { Api, AppApi, EngineApi, TerminalApi, WorkspaceApi } from '../../electron/common/api.ts';
import { appContract } from '../../electron/common/app-contract.ts';
import { engineContract } from '../../electron/common/engine-contract.ts';
import type { PortName } from '../../electron/common/ports.ts';
import { terminalContract } from '../../electron/common/terminal-contract.ts';
import { workspaceContract } from '../../electron/common/workspace-contract.ts';
import type { PortInbox } from './port-inbox.ts';

type NoContext = Record<never, never>;

/** One link per port; a call waits for a port when there is none. */
function link(inbox: PortInbox, name: PortName, contract: AnyContractRouter): ClientLink<NoContext> {
  const links = new WeakMap<MessagePort, RPCLink<NoContext>>();
  return new DynamicLink(async () => {
    const port = await inbox.port(name);
    const existing = links.get(port);
    if (existing) return existing;
    const created = new RPCLink<NoContext>({ port, plugins: [new ResponseValidationPlugin(contract)] });
    links.set(port, created);
    return created;
  });
}

export function connect(inbox: PortInbox): Api {
  return {
    app: createORPCClient<AppApi>(link(inbox, 'app', appContract)),
    engine: createORPCClient<EngineApi>(link(inbox, 'engine', engineContract)),
    terminal: createORPCClient<TerminalApi>(link(inbox, 'terminal', terminalContract)),
    workspace: createORPCClient<WorkspaceApi>(link(inbox, 'workspace', workspaceContract)),
  };
}
