import { expect, it } from 'vitest';
import { createStore } from 'zustand/vanilla';
import { Backups } from '../features/workspace/backups.ts';
import { BuffersStore } from '../features/workspace/buffers-store.ts';
import { FakeTexts } from '../testing/fake-texts.ts';
import { FakeWorkspace } from '../testing/fake-workspace.ts';
import { SessionKeeper } from './session-keeper.ts';

type Model = ConstructorParameters<typeof SessionKeeper>[0];

const later = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Two folders with a tab each; the first one also has text that was not saved. */
function twoFolders() {
  const workspace = new FakeWorkspace({ 'one.txt': 'on disk\n', 'two.txt': 'other\n' });
  const texts = new FakeTexts();
  let nextId = 1;
  const buffers = new BuffersStore({
    workspace: workspace.api,
    texts,
    newId: () => `id${nextId++}`,
    onMerged: () => {},
  });
  let root = 'one';
  const backup = {
    id: 'b',
    path: 'one.txt',
    title: 'one.txt',
    languageId: 'text',
    text: 'not saved',
    encoding: 'utf8',
    version: '1',
  };
  const session = (path: string, backupId: string | null) => ({
    tabs: [{ path, backupId }],
    activeTab: 0,
    expandedDirectories: [],
    layout: {},
    conversationId: null,
  });
  const slow = async <T>(value: T): Promise<T> => {
    await later(20);
    return value;
  };
  const api = {
    app: {
      workspace: {
        session: {
          load: () => slow(root === 'one' ? session('one.txt', 'b') : session('two.txt', null)),
          save: async () => ({}),
        },
      },
      backups: { list: () => slow(root === 'one' ? [backup] : []), put: async () => ({}), delete: async () => ({}) },
    },
  };
  const model = {
    api,
    buffers,
    tree: { store: createStore(() => ({ expanded: new Set<string>() })), reset: async () => {}, clear: () => {} },
    chat: { store: createStore(() => ({ conversationId: null })), load: () => slow(undefined) },
    ui: createStore(() => ({ layout: {} })),
    notifications: { error: () => {} },
  };
  const backups = new Backups(api.app.backups as never, buffers, texts, () => {});
  const keeper = new SessionKeeper(model as unknown as Model, backups);
  const open = (name: string) => {
    root = name;
    return keeper.open({ root: name, name });
  };
  return { buffers, open };
}

it('opens a folder that comes while another one is being opened after that, and alone', async () => {
  const { buffers, open } = twoFolders();
  const first = open('one');
  await later(10);
  const second = open('two');
  await Promise.all([first, second]);
  expect(buffers.all().map(({ path, isDirty }) => ({ path, isDirty }))).toEqual([{ path: 'two.txt', isDirty: false }]);
});
