import { beforeEach, describe, expect, it } from 'vitest';
import { FakeWorkspace } from '../../testing/fake-workspace.ts';
import { treeKey, treeRows, typeAhead } from './tree-rows.ts';
import { TreeStore } from './tree-store.ts';

let workspace: FakeWorkspace;
let tree: TreeStore;

beforeEach(async () => {
  workspace = new FakeWorkspace({ 'src/a.ts': '', 'src/deep/b.ts': '', 'README.md': '', 'read.txt': '' });
  tree = new TreeStore(workspace.api);
  await tree.reset([]);
});

const rows = () => treeRows(tree.store.getState());
const names = () =>
  rows().map((row) => (row.kind === 'entry' ? `${'  '.repeat(row.level - 1)}${row.entry.name}` : row.kind));

describe('TreeStore', () => {
  it('lists folders when they are opened', async () => {
    expect(names()).toEqual(['src', 'read.txt', 'README.md']);
    await tree.expand('src');
    expect(names()).toEqual(['src', '  deep', '  a.ts', 'read.txt', 'README.md']);
    tree.collapse('src');
    expect(names()).toEqual(['src', 'read.txt', 'README.md']);
  });

  it('reveals a file by opening the folders above it', async () => {
    await tree.reveal('src/deep/b.ts');
    expect(names()).toContain('    b.ts');
    expect(tree.store.getState().focused).toBe('src/deep/b.ts');
  });

  it('shows a new file after the watcher spoke, and forgets a folder that is gone', async () => {
    workspace.put('new.ts', '');
    await tree.directoriesChanged(['']);
    expect(names()).toContain('new.ts');
    await tree.expand('src');
    workspace.api.list = async ({ path }) => {
      const { appError } = await import('../../testing/app-error.ts');
      if (path === 'src') throw appError('FILE_NOT_FOUND', 'gone');
      return [];
    };
    await tree.directoriesChanged(['src', '']);
    expect(tree.store.getState().expanded.has('src')).toBe(false);
  });

  it('creates a file under the open folder', async () => {
    await tree.expand('src');
    tree.focus('src');
    await tree.startNew('file');
    expect(names()).toContain('draft');
    expect(await tree.commitDraft('new.ts')).toMatchObject({ kind: 'file', path: 'src/new.ts' });
    expect(workspace.textOf('src/new.ts')).toBe('');
    expect(tree.store.getState().draft).toBeNull();
  });

  it('creates inside a folder that is closed, and beside a file', async () => {
    tree.focus('src');
    await tree.startNew('file');
    expect(tree.store.getState().draft?.parent).toBe('src');
    expect(tree.store.getState().expanded.has('src')).toBe(true);
    tree.focus('README.md');
    await tree.startNew('directory');
    expect(tree.store.getState().draft?.parent).toBe('');
  });

  it('keeps the draft with a reason when the name is taken or impossible', async () => {
    await tree.startNew('file', '');
    expect(await tree.commitDraft('README.md')).toBeNull();
    expect(tree.store.getState().draft?.error).toContain('exists');
    expect(await tree.commitDraft('../x')).toBeNull();
    expect(tree.store.getState().draft?.error).toContain('..');
  });

  it('renames', async () => {
    tree.startRename('read.txt');
    expect(await tree.commitDraft('notes.txt')).toEqual({ kind: 'rename', from: 'read.txt', path: 'notes.txt' });
    expect(names()).toContain('notes.txt');
  });

  it('drops answers of a folder that was closed meanwhile', async () => {
    const opening = tree.expand('src');
    tree.clear();
    await opening;
    expect(tree.store.getState().directories).toEqual({});
  });
});

describe('treeKey', () => {
  it('moves, opens and closes as the ARIA tree pattern says', async () => {
    expect(treeKey('ArrowDown', rows(), 'src')).toEqual({ do: 'focus', path: 'read.txt' });
    expect(treeKey('ArrowRight', rows(), 'src')).toEqual({ do: 'expand', path: 'src' });
    await tree.expand('src');
    expect(treeKey('ArrowRight', rows(), 'src')).toEqual({ do: 'focus', path: 'src/deep' });
    expect(treeKey('ArrowLeft', rows(), 'src/a.ts')).toEqual({ do: 'focus', path: 'src' });
    expect(treeKey('ArrowLeft', rows(), 'src')).toEqual({ do: 'collapse', path: 'src' });
    expect(treeKey('Enter', rows(), 'src/a.ts')).toEqual({ do: 'open', path: 'src/a.ts' });
    expect(treeKey('End', rows(), 'src')).toEqual({ do: 'focus', path: 'README.md' });
    expect(treeKey('ArrowUp', rows(), 'src')).toEqual({ do: 'focus', path: 'src' });
    expect(treeKey('F2', rows(), 'src')).toEqual({ do: 'rename', path: 'src' });
  });

  it('starts at the top when no row has the focus', () => {
    expect(treeKey('ArrowDown', rows(), null)).toEqual({ do: 'focus', path: 'src' });
  });

  it('does nothing in an empty tree', () => {
    expect(treeKey('ArrowDown', [], null)).toBeNull();
  });
});

describe('typeAhead', () => {
  it('goes to the next name and around, and refines while typing', () => {
    expect(typeAhead('r', rows(), 'src')).toBe('read.txt');
    expect(typeAhead('r', rows(), 'read.txt')).toBe('README.md');
    expect(typeAhead('readm', rows(), 'read.txt')).toBe('README.md');
    expect(typeAhead('s', rows(), 'README.md')).toBe('src');
    expect(typeAhead('x', rows(), 'src')).toBeNull();
  });
});
