// What main serves to the window. Each call is one line of wiring to the service that does it.
import { writeFile } from 'node:fs/promises';
import { implement } from '@orpc/server';
import { app, clipboard, shell } from 'electron';
import { type AppEvent, appContract, type WorkspaceInfo } from '../common/app-contract.ts';
import { appError } from '../common/app-error.ts';
import type { ErrorInfo } from '../common/errors.ts';
import type { Settings } from '../common/settings.ts';
import type { Conversations } from '../services/conversations.ts';
import type { EngineProcess } from '../services/engine-process.ts';
import type { NetworkLedger } from '../services/network-ledger.ts';
import type { SettingsFile } from '../services/settings.ts';
import type { TerminalProcess } from '../services/terminal-process.ts';
import type { WorkspaceProcess } from '../services/workspace-process.ts';
import type { Workspaces } from '../services/workspaces.ts';
import type { AppEvents } from './app-events.ts';
import { createModelsRouter, type ModelsRouterDeps } from './models-router.ts';

export interface AppRouterDeps extends Omit<ModelsRouterDeps, 'updateSettings' | 'reload'> {
  conversations: Conversations;
  workspaces: Workspaces;
  engine: EngineProcess;
  workspace: WorkspaceProcess;
  terminal: TerminalProcess;
  network: NetworkLedger;
  events: AppEvents;
  /** Native dialogs; null if the user cancels. */
  chooseFolder: () => Promise<string | null>;
  chooseSavePath: (name: string) => Promise<string | null>;
  /** Commands have other keys now. */
  onKeys: () => void;
  onZoom: (percent: number) => void;
  onWindowStarted: () => void;
  onReadyToClose: (problem: ErrorInfo | null) => void;
}

/** Settings that only a new load of the model brings into effect. */
const loadSettings = [
  'modelPath',
  'nThreads',
  'nCtx',
  'kvPreset',
  'modelMemoryMiB',
  'modelIdleMinutes',
] as const satisfies readonly (keyof Settings)[];

export function createAppRouter(deps: AppRouterDeps) {
  const { settings, conversations, workspaces, engine, workspace, events } = deps;
  const os = implement(appContract);

  const processStates = (): AppEvent[] => [
    { type: 'process', process: 'engine', state: engine.process.state },
    { type: 'process', process: 'workspace', state: workspace.process.state },
  ];

  const updateSettings = (patch: Parameters<SettingsFile['update']>[0]): Settings => {
    const before = settings.current;
    const updated = settings.update(patch);
    events.push({ type: 'settings', settings: updated });
    if (before.zoomPercent !== updated.zoomPercent) deps.onZoom(updated.zoomPercent);
    if (updated.isNetworkOff && !before.isNetworkOff) deps.models.networkSwitchedOff();
    const shownWithModels = ['hubUrl', 'modelFolder', 'modelMemoryMiB', 'nCtx', 'kvPreset'] as const;
    if (shownWithModels.some((field) => before[field] !== updated[field])) deps.models.changed();
    if (before.keys !== updated.keys) deps.onKeys();
    if (loadSettings.some((field) => before[field] !== updated[field])) void engine.load();
    return updated;
  };

  return os.router({
    info: os.info.handler(() => ({
      version: app.getVersion(),
      platform: process.platform,
      settings: settings.current,
      workspace: workspaces.current,
      recentWorkspaces: workspaces.recent(),
      connections: [...deps.network.connections],
      processes: { engine: engine.process.state, workspace: workspace.process.state },
    })),
    // The states again: one may have changed between `info` and this call.
    events: os.events.handler(({ signal }) => events.subscribe(signal, processStates())),
    settings: {
      update: os.settings.update.handler(({ input }) => updateSettings(input)),
    },
    workspace: {
      open: os.workspace.open.handler(async ({ input: { recentRoot } }) => {
        if (recentRoot !== undefined && !workspaces.isRecent(recentRoot)) {
          throw appError('OUTSIDE_WORKSPACE', `${recentRoot} was not opened before.`, { hint: 'Use Open Folder.' });
        }
        const root = recentRoot ?? (await deps.chooseFolder());
        return root === null ? null : openWorkspace(deps, root);
      }),
      close: os.workspace.close.handler(async () => {
        await openWorkspace(deps, null);
        return {};
      }),
      session: {
        load: os.workspace.session.load.handler(() => workspaces.loadSession()),
        save: os.workspace.session.save.handler(({ input }) => done(workspaces.saveSession(input))),
      },
    },
    models: createModelsRouter({ ...deps, updateSettings, reload: () => void engine.load(/*again=*/ true) }),
    processes: {
      restart: os.processes.restart.handler(async ({ input }) => {
        await (input.process === 'engine' ? engine : workspace).process.restart();
        return {};
      }),
      startTerminal: os.processes.startTerminal.handler(() => done(deps.terminal.process.start())),
    },
    conversations: {
      list: os.conversations.list.handler(() => conversations.list()),
      create: os.conversations.create.handler(({ input }) => conversations.create(input.title)),
      rename: os.conversations.rename.handler(({ input }) => done(conversations.rename(input.id, input.title))),
      delete: os.conversations.delete.handler(async ({ input }) => {
        conversations.delete(input.id);
        await deps.models.forgetContexts();
        return {};
      }),
      messages: os.conversations.messages.handler(({ input }) => conversations.messages(input.id)),
      putMessage: os.conversations.putMessage.handler(({ input }) =>
        done(conversations.putMessage(input.conversationId, input.message)),
      ),
      setLeaf: os.conversations.setLeaf.handler(({ input }) => done(conversations.setLeaf(input.id, input.leafId))),
      search: os.conversations.search.handler(({ input }) => conversations.search(input.text)),
    },
    backups: {
      list: os.backups.list.handler(() => workspaces.backups()),
      put: os.backups.put.handler(({ input }) => done(workspaces.putBackup(input))),
      delete: os.backups.delete.handler(({ input }) => done(workspaces.deleteBackup(input.id))),
    },
    lifecycle: {
      started: os.lifecycle.started.handler(() => done(deps.onWindowStarted())),
      readyToClose: os.lifecycle.readyToClose.handler(({ input }) => done(deps.onReadyToClose(input.problem))),
    },
    shell: {
      openExternal: os.shell.openExternal.handler(async ({ input }) => {
        deps.network.ask('A link that you opened in your browser.', input.url);
        await shell.openExternal(input.url);
        return {};
      }),
      saveText: os.shell.saveText.handler(async ({ input: { name, text } }) => {
        const path = await deps.chooseSavePath(name);
        if (path === null) return null;
        await writeFile(path, text).catch((error: Error) => {
          throw appError('IO_ERROR', `${path} could not be written.`, { detail: error.message }, error);
        });
        return { path };
      }),
      writeClipboard: os.shell.writeClipboard.handler(({ input }) => done(clipboard.writeText(input.text))),
    },
  });
}

/** Opens a folder in the window, or closes it; the window hears of it as an event, too. */
export async function openWorkspace(
  {
    workspaces,
    workspace,
    models,
    terminal,
    events,
  }: Pick<AppRouterDeps, 'workspaces' | 'workspace' | 'models' | 'terminal' | 'events'>,
  root: string | null,
): Promise<WorkspaceInfo | null> {
  await workspace.setRoot(root);
  workspaces.setCurrent(root);
  models.rootChanged();
  await terminal.rootChanged();
  events.push({ type: 'workspace', workspace: workspaces.current });
  return workspaces.current;
}

/** The answer of a call that has none. */
function done(_result: unknown): Record<string, never> {
  return {};
}
