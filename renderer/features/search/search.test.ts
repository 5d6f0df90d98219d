import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { appError } from '../../testing/app-error.ts';
import { FakeWorkspace } from '../../testing/fake-workspace.ts';
import { type OpenTexts, replaceInFiles, undoReplace } from './replace.ts';
import { resultKey, resultRows } from './result-rows.ts';
import { countMatches, SearchStore, toQuery } from './search-store.ts';

const nothingOpen: OpenTexts = { textOf: () => null, replace: async () => false };

let workspace: FakeWorkspace;
let search: SearchStore;

beforeEach(() => {
  workspace = new FakeWorkspace({ 'src/a.ts': 'old\nan old one\r\n', 'src/b.ts': 'old', 'c.md': 'new' });
  search = new SearchStore(workspace.api);
});

afterEach(() => {
  vi.useRealTimers();
});

const files = () => search.store.getState().files;
const found = () => files().map(({ path }) => path);

async function searchFor(pattern: string, replacement?: string) {
  search.change({ pattern, ...(replacement === undefined ? {} : { isReplaceShown: true, replacement }) });
  await search.run();
}

describe('the search', () => {
  it('runs after a pause in typing, once for all letters', async () => {
    vi.useFakeTimers();
    const asked = vi.spyOn(workspace.api, 'search');
    for (const pattern of ['o', 'ol', 'old']) search.change({ pattern });
    await vi.advanceTimersByTimeAsync(1000);
    expect(asked).toHaveBeenCalledOnce();
    expect(found()).toEqual(['src/a.ts', 'src/b.ts']);
    search.change({ pattern: '' });
    await vi.advanceTimersByTimeAsync(1000);
    expect(search.store.getState()).toMatchObject({ status: 'idle', files: [] });
  });

  it('drops what an older search still finds', async () => {
    const real = workspace.api.search;
    let release = () => {};
    workspace.api.search = async (query, options) => {
      if (query.pattern === 'old') await new Promise<void>((resolve) => (release = resolve));
      return real(query, options);
    };
    const slow = searchFor('old');
    await searchFor('new');
    release();
    await slow;
    expect(found()).toEqual(['c.md']);
  });

  it('shows what it finds as it comes, but not before a key that waits', async () => {
    for (const isKeyWaiting of [false, true]) {
      const shown: number[] = [];
      const store = new SearchStore(workspace.api, () => isKeyWaiting);
      store.change({ pattern: 'old' });
      store.store.subscribe((now, before) => now.files !== before.files && shown.push(now.files.length));
      await store.run();
      expect(shown).toEqual(isKeyWaiting ? [2] : [2, 2]);
      expect(store.store.getState().status).toBe('done');
    }
  });

  it('shows why it failed, and nothing old beside it', async () => {
    await searchFor('old');
    workspace.api.search = async () => {
      throw appError('SEARCH_INVALID', 'This cannot be searched for: unclosed group.');
    };
    await searchFor('(');
    expect(search.store.getState()).toMatchObject({ status: 'failed', files: [], error: { code: 'SEARCH_INVALID' } });
  });

  it('reads globs from a list with commas, and a replacement only while it is shown', () => {
    const { form } = search.store.getState();
    const query = toQuery({ ...form, pattern: 'x', include: ' src, *.ts ,,', exclude: '', replacement: 'y' });
    expect(query).toMatchObject({ include: ['src', '*.ts'], exclude: [], replacement: null });
    expect(toQuery({ ...form, isReplaceShown: true, replacement: '' }).replacement).toBe('');
  });

  it('takes rows off the list', async () => {
    await searchFor('old');
    const [a] = files();
    const match = a?.matches[0];
    if (match) search.dismiss('src/a.ts', match);
    expect(countMatches(files())).toBe(2);
    search.dismiss('src/b.ts');
    expect(found()).toEqual(['src/a.ts']);
  });
});

describe('replacing', () => {
  it('changes files on disk, and takes it back', async () => {
    await searchFor('old', 'shiny');
    const result = await replaceInFiles(files(), workspace.api, nothingOpen);
    expect(result).toMatchObject({ nMatches: 3, skipped: [] });
    expect(workspace.textOf('src/a.ts')).toBe('shiny\nan shiny one\r\n');
    expect(await undoReplace(result.done, workspace.api, nothingOpen)).toEqual([]);
    expect(workspace.textOf('src/a.ts')).toBe('old\nan old one\r\n');
    expect(workspace.textOf('src/b.ts')).toBe('old');
  });

  it('leaves a file alone that changed since the search, and says so', async () => {
    await searchFor('old', 'shiny');
    workspace.put('src/a.ts', 'other\nan old one\r\n');
    const result = await replaceInFiles(files(), workspace.api, nothingOpen);
    expect(result.skipped).toEqual([{ path: 'src/a.ts', reason: 'src/a.ts changed since the search.' }]);
    expect(workspace.textOf('src/a.ts')).toBe('other\nan old one\r\n');
    expect(workspace.textOf('src/b.ts')).toBe('shiny');
  });

  it('does not take back what was changed again', async () => {
    await searchFor('old', 'shiny');
    const { done } = await replaceInFiles(files(), workspace.api, nothingOpen);
    workspace.put('src/b.ts', 'shiny and more');
    expect(await undoReplace(done, workspace.api, nothingOpen)).toEqual(['src/b.ts']);
    expect(workspace.textOf('src/b.ts')).toBe('shiny and more');
  });

  it('changes an open file in the editor, not behind its back', async () => {
    const texts = new Map([['src/a.ts', 'old\nan old one, typed\r\n']]);
    const open: OpenTexts = {
      textOf: (path) => texts.get(path) ?? null,
      replace: async (path, text) => texts.set(path, text) !== undefined,
    };
    await searchFor('old', 'shiny');
    const { done } = await replaceInFiles(files(), workspace.api, open);
    expect(texts.get('src/a.ts')).toBe('shiny\nan shiny one, typed\r\n');
    expect(workspace.textOf('src/a.ts')).toBe('old\nan old one\r\n');
    await undoReplace(done, workspace.api, open);
    expect(texts.get('src/a.ts')).toBe('old\nan old one, typed\r\n');
  });

  it('goes on when a file cannot be written', async () => {
    await searchFor('old', 'shiny');
    workspace.put('src/a.ts', 'old\nan old one\r\n', { isReadOnly: true });
    const { skipped, nMatches } = await replaceInFiles(files(), workspace.api, nothingOpen);
    expect(skipped).toEqual([{ path: 'src/a.ts', reason: 'src/a.ts is read-only.' }]);
    expect(nMatches).toBe(1);
  });
});

it('moves through the results with the keys of a tree', async () => {
  await searchFor('old');
  const rows = resultRows(files(), new Set(['src/b.ts']));
  expect(rows.map(({ id }) => id)).toEqual(['src/a.ts', 'src/a.ts:1:0', 'src/a.ts:2:3', 'src/b.ts']);
  expect(resultKey('ArrowDown', rows, 'src/a.ts')).toEqual({ do: 'focus', id: 'src/a.ts:1:0' });
  expect(resultKey('ArrowLeft', rows, 'src/a.ts:2:3')).toEqual({ do: 'focus', id: 'src/a.ts' });
  expect(resultKey('ArrowRight', rows, 'src/b.ts')).toMatchObject({ do: 'toggle' });
  expect(resultKey('Enter', rows, 'src/a.ts:1:0')).toMatchObject({ do: 'open' });
  expect(resultKey('Delete', rows, 'src/a.ts')).toMatchObject({ do: 'dismiss' });
  expect(resultKey('x', rows, 'src/a.ts')).toBeNull();
});
