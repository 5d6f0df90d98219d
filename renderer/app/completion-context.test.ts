import { beforeEach, expect, it, vi } from 'vitest';
import { createStore } from 'zustand/vanilla';
import type { CompletionModel } from '../../electron/common/engine-contract.ts';
import type { AppModel } from './app-model.ts';
import { followContext } from './completion-context.ts';
import { createUiStore } from './ui-store.ts';

const buffer = (id: string) => ({ id, path: `${id}.ts`, status: 'ready', languageId: 'typescript' });

let said: string[];
let model: AppModel;

beforeEach(() => {
  vi.useFakeTimers();
  said = [];
  const store = createStore<{ activeId: string | null; buffers: Record<string, ReturnType<typeof buffer>> }>(() => ({
    activeId: null,
    buffers: { a: buffer('a'), b: buffer('b') },
  }));
  const get = (id: string | null) => (id === null ? undefined : store.getState().buffers[id]);
  const place = () => ({ bufferId: store.getState().activeId, prefix: `line ${model.ui.getState().cursor.line}` });
  model = {
    buffers: {
      store,
      get,
      get active() {
        return get(store.getState().activeId);
      },
    },
    contextFiles: {
      seen: (path: string) => said.push(`left ${path}`),
      enter: async (path: string) => void said.push(`entered ${path}`),
      look: async (path: string, place: { prefix: string }) => void said.push(`looked at ${place.prefix} of ${path}`),
    },
    completion: { warmUp: async () => void said.push('warmed up') },
    editor: { surroundings: () => (store.getState().activeId === null ? null : place()) },
    models: {
      store: createStore(() => ({ completionModel: { id: 'x', hasFim: true } as CompletionModel })),
      get fillsGaps() {
        return model.models.store.getState().completionModel?.hasFim ?? false;
      },
    },
    texts: { text: () => '' },
    ui: createUiStore(),
  } as unknown as AppModel;
  followContext(model);
  return () => vi.useRealTimers();
});

const show = (activeId: string) => model.buffers.store.setState({ activeId });
const goTo = (line: number) => model.ui.setState({ cursor: { line, column: 1, selectedChars: 0 } });
const afterwards = async (ms: number) => {
  await vi.advanceTimersByTimeAsync(ms);
  return said.splice(0);
};

it('looks for what is like the place where a file is entered, then warms up', async () => {
  show('a');
  expect(await afterwards(100)).toEqual(['entered a.ts']);
  goTo(5); // where it was left the last time, or what was gone to
  expect(await afterwards(5000)).toEqual(['looked at line 5 of a.ts', 'warmed up']);
  show('b');
  await afterwards(100);
  goTo(6); // near the place in the other file
  expect(await afterwards(5000)).toEqual(['looked at line 6 of b.ts', 'warmed up']);
});

it('looks when the editor shows the file, which may be later', async () => {
  Object.assign(model, { editor: null });
  show('a');
  expect(await afterwards(1000)).toEqual(['entered a.ts']);
  const prefix = 'late';
  Object.assign(model, { editor: { surroundings: () => ({ bufferId: 'b', prefix }) } });
  goTo(3);
  expect(await afterwards(5000)).toEqual(['warmed up']);
  Object.assign(model, { editor: { surroundings: () => ({ bufferId: 'a', prefix }) } });
  goTo(2);
  expect(await afterwards(5000)).toEqual(['looked at late of a.ts', 'warmed up']);
});

it('looks again where the cursor settles far away, not where it is typed or passed', async () => {
  show('a');
  await afterwards(5000);
  for (let line = 2; line <= 31; line++) goTo(line);
  expect(await afterwards(5000)).toEqual([]);
  goTo(200);
  expect(await afterwards(300)).toEqual([]);
  goTo(400);
  expect(await afterwards(5000)).toEqual(['looked at line 400 of a.ts', 'warmed up']);
  goTo(390);
  expect(await afterwards(5000)).toEqual([]);
  goTo(900);
  goTo(401);
  expect(await afterwards(5000)).toEqual([]);
});

it('looks for nothing while no file is shown, or for a model that sees no other files', async () => {
  goTo(500);
  expect(await afterwards(5000)).toEqual([]);
  const completesWith = (completionModel: CompletionModel) => model.models.store.setState({ completionModel });
  completesWith(null);
  show('a');
  expect(await afterwards(5000)).toEqual(['entered a.ts']);
  // The one of the chat, until that for completion is loaded.
  completesWith({ id: 'chat', hasFim: false });
  expect(await afterwards(5000)).toEqual([]);
  completesWith({ id: 'own', hasFim: true });
  expect(await afterwards(5000)).toEqual(['looked at line 500 of a.ts', 'warmed up']);
});

it('does not look from a file that was left meanwhile', async () => {
  show('a');
  show('b');
  expect(await afterwards(5000)).toEqual([
    'entered a.ts',
    'left a.ts',
    'entered b.ts',
    'looked at line 1 of b.ts',
    'warmed up',
  ]);
});
