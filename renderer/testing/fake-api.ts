// A whole scripted API: what main would answer, with everything kept in memory. Used by unit tests and by the
// page testing/index.html, which shows the window without Electron.
import type { Api, AppApi } from '../../electron/common/api.ts';
import type {
  AppEvent,
  AppInfo,
  Backup,
  Conversation,
  Session,
  StoredMessage,
} from '../../electron/common/app-contract.ts';
import { settingsSchema } from '../../electron/common/settings.ts';
import { EventQueue } from './event-queue.ts';
import { FakeEngine } from './fake-engine.ts';
import { FakeModels } from './fake-models.ts';
import { createFakeTerminal } from './fake-terminal.ts';
import { FakeWorkspace } from './fake-workspace.ts';

export interface FakeApi {
  api: Api;
  engine: FakeEngine;
  models: FakeModels;
  workspace: FakeWorkspace;
  events: EventQueue<AppEvent>;
  /** What main would have on disk. */
  stored: {
    session: Session | null;
    backups: Map<string, Backup>;
    conversations: Map<string, Conversation>;
    messages: Map<string, StoredMessage[]>;
  };
  /** Calls with an effect outside of the app. */
  outside: {
    clipboard: string | null;
    openedUrls: string[];
    savedTexts: { name: string; text: string }[];
    isReadyToClose: boolean;
  };
}

const kInfo: AppInfo = {
  version: '0.1.0',
  platform: 'linux',
  settings: settingsSchema.parse({ hasSeenFirstSteps: true }),
  workspace: { root: '/home/you/orbit', name: 'orbit' },
  recentWorkspaces: [
    { root: '/home/you/orbit', name: 'orbit' },
    { root: '/home/you/lighthouse', name: 'lighthouse' },
  ],
  connections: [],
  processes: { engine: { state: 'running' }, workspace: { state: 'running' } },
};

export function createFakeApi(files: Readonly<Record<string, string>>, changes: Partial<AppInfo> = {}): FakeApi {
  const info = { ...kInfo, ...changes };
  const engine = new FakeEngine();
  const models = new FakeModels();
  models.onReload = () => engine.load();
  const workspace = new FakeWorkspace(files);
  const events = new EventQueue<AppEvent>();
  const stored: FakeApi['stored'] = {
    session: null,
    backups: new Map(),
    conversations: new Map(),
    messages: new Map(),
  };
  const outside: FakeApi['outside'] = { clipboard: null, openedUrls: [], savedTexts: [], isReadyToClose: false };
  const messagesOf = (id: string) => stored.messages.get(id) ?? [];
  let nextId = 1;

  const app: AppApi = {
    info: async () => info,
    events: async (_input, options) => events.subscribe(options?.signal),
    settings: {
      update: async (patch) => {
        info.settings = settingsSchema.parse({ ...info.settings, ...patch });
        return info.settings;
      },
    },
    workspace: {
      open: async () => info.workspace ?? kInfo.workspace,
      close: async () => ({}),
      session: {
        load: async () => stored.session,
        save: async (session) => {
          stored.session = session;
          return {};
        },
      },
    },
    models: models.api,
    processes: { restart: async () => ({}), startTerminal: async () => ({}) },
    conversations: {
      list: async () => [...stored.conversations.values()],
      create: async ({ title }) => {
        const nowMs = Date.now();
        const conversation = {
          id: `conversation-${nextId++}`,
          title,
          createdAtMs: nowMs,
          updatedAtMs: nowMs,
          leafId: null,
        };
        stored.conversations.set(conversation.id, conversation);
        return conversation;
      },
      rename: async ({ id, title }) => {
        const conversation = stored.conversations.get(id);
        if (conversation) stored.conversations.set(id, { ...conversation, title });
        return {};
      },
      delete: async ({ id }) => {
        stored.conversations.delete(id);
        stored.messages.delete(id);
        return {};
      },
      messages: async ({ id }) => messagesOf(id),
      putMessage: async ({ conversationId, message }) => {
        const list = messagesOf(conversationId);
        const known = list.some(({ id }) => id === message.id);
        stored.messages.set(
          conversationId,
          known ? list.map((old) => (old.id === message.id ? message : old)) : [...list, message],
        );
        return {};
      },
      setLeaf: async ({ id, leafId }) => {
        const conversation = stored.conversations.get(id);
        if (conversation) stored.conversations.set(id, { ...conversation, leafId });
        return {};
      },
      search: async ({ text }) =>
        [...stored.messages].filter(([, list]) => list.some(({ content }) => content.includes(text))).map(([id]) => id),
    },
    backups: {
      list: async () => [...stored.backups.values()],
      put: async (backup) => {
        stored.backups.set(backup.id, backup);
        return {};
      },
      delete: async ({ id }) => {
        stored.backups.delete(id);
        return {};
      },
    },
    lifecycle: {
      started: async () => ({}),
      readyToClose: async () => {
        outside.isReadyToClose = true;
        return {};
      },
    },
    shell: {
      openExternal: async ({ url }) => {
        outside.openedUrls.push(url);
        return {};
      },
      saveText: async ({ name, text }) => {
        outside.savedTexts.push({ name, text });
        return { path: `/home/you/${name}` };
      },
      writeClipboard: async ({ text }) => {
        outside.clipboard = text;
        return {};
      },
    },
  };
  const api = { app, engine: engine.api, workspace: workspace.api, terminal: createFakeTerminal() };
  return { api, engine, models, workspace, events, stored, outside };
}
