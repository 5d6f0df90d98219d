// The contracts as a caller sees them. Code takes these as parameters, so that tests pass a scripted fake.
import type { ContractRouterClient } from '@orpc/contract';
import type { appContract } from './app-contract.ts';
import type { engineContract } from './engine-contract.ts';
import type { terminalContract } from './terminal-contract.ts';
import type { workspaceContract } from './workspace-contract.ts';

export type AppApi = ContractRouterClient<typeof appContract>;
export type EngineApi = ContractRouterClient<typeof engineContract>;
export type TerminalApi = ContractRouterClient<typeof terminalContract>;
export type WorkspaceApi = ContractRouterClient<typeof workspaceContract>;

/** Everything the renderer can ask for. */
export interface Api {
  app: AppApi;
  engine: EngineApi;
  workspace: WorkspaceApi;
  terminal: TerminalApi;
}
