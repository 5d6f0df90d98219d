import { beforeEach, expect, it, vi } from 'vitest';
import { FakeTexts } from '../../testing/fake-texts.ts';
import { FakeWorkspace } from '../../testing/fake-workspace.ts';
import { BuffersStore } from './buffers-store.ts';
import { FileOperations } from './file-operations.ts';
import { TreeStore } from './tree-store.ts';

let workspace: FakeWorkspace;
let buffers: BuffersStore;
let tree: TreeStore;
let texts: FakeTexts;
let operations: FileOperations;
const closeNote = vi.fn();
const onNote = vi.fn((_message: string, _action: { run: () => void }) => closeNote);
const onError = vi.fn();

beforeEach(async () => {
  vi.clearAllMocks();
  workspace = new FakeWorkspace({ 'src/a.ts': 'a', 'src/b.ts': 'b', 'lib/c.ts': 'c' });
  texts = new FakeTexts();
  let nIds = 0;
  buffers = new BuffersStore({ workspace: workspace.api, texts, newId: () => `${++nIds}`, onMerged: () => {} });
  tree = new TreeStore(workspace.api);
  await tree.reset(['src', 'lib']);
  operations = new FileOperations({ workspace: workspace.api, tree, buffers, onNote, onError });
});

const undoFromNote = () => onNote.mock.lastCall?.[1].run();
const open = () => buffers.all().map(({ path }) => path);

it('deletes a file with its tab, and brings both back', async () => {
  await buffers.open('src/a.ts');
  await operations.trash('src/a.ts');
  expect(workspace.textOf('src/a.ts')).toBeUndefined();
  expect(open()).toEqual([]);
  undoFromNote();
  await vi.waitFor(() => expect(open()).toEqual(['src/a.ts']));
  expect(workspace.textOf('src/a.ts')).toBe('a');
});

it('keeps the tab of a deleted file that holds unsaved text', async () => {
  await buffers.open('src/a.ts');
  const [buffer] = buffers.all();
  texts.edit(buffer?.id ?? '', 'typed');
  await operations.trash('src');
  expect(open()).toEqual(['src/a.ts']);
  expect(texts.text(buffer?.id ?? '')).toBe('typed');
});

it('moves a file with its tab, and back', async () => {
  await buffers.open('src/a.ts');
  operations.cut('src/a.ts');
  await operations.paste('lib');
  expect(workspace.textOf('lib/a.ts')).toBe('a');
  expect(open()).toEqual(['lib/a.ts']);
  expect(closeNote).not.toHaveBeenCalled();
  await operations.undo();
  expect(closeNote).toHaveBeenCalledOnce(); // which offers to do that
  expect(workspace.textOf('src/a.ts')).toBe('a');
  expect(open()).toEqual(['src/a.ts']);
});

it('takes back a move that is still being made, and not the step before it', async () => {
  await operations.move('lib/c.ts', 'src');
  const moving = operations.move('src/a.ts', 'lib');
  await Promise.all([moving, operations.undo()]);
  expect(workspace.textOf('src/a.ts')).toBe('a');
  expect(workspace.textOf('src/c.ts')).toBe('c');
});

it('moves nothing into itself, and replaces nothing', async () => {
  await operations.move('src', 'src');
  await operations.move('src/a.ts', 'src');
  expect(onError).not.toHaveBeenCalled();
  workspace.put('lib/a.ts', 'other');
  await operations.move('src/a.ts', 'lib');
  expect(onError).toHaveBeenCalledWith(expect.objectContaining({ code: 'FILE_EXISTS' }));
  expect([workspace.textOf('src/a.ts'), workspace.textOf('lib/a.ts')]).toEqual(['a', 'other']);
});

it('takes steps back from the newest, each once', async () => {
  await workspace.api.rename({ from: 'src/b.ts', to: 'src/d.ts' });
  operations.renamed('src/b.ts', 'src/d.ts');
  await operations.trash('src/d.ts');
  await operations.undo();
  expect(workspace.textOf('src/d.ts')).toBe('b');
  await operations.undo();
  expect(workspace.textOf('src/b.ts')).toBe('b');
  await operations.undo();
  expect(onError).not.toHaveBeenCalled();
});

it('forgets the steps when another folder is opened', async () => {
  await operations.trash('src/a.ts');
  operations.clear();
  expect(closeNote).toHaveBeenCalledOnce();
  await operations.undo();
  undoFromNote();
  await Promise.resolve();
  expect(workspace.textOf('src/a.ts')).toBeUndefined();
});
