import { beforeEach, describe, expect, it } from 'vitest';
import { FakeTexts } from '../../testing/fake-texts.ts';
import { FakeWorkspace } from '../../testing/fake-workspace.ts';
import { shownIn } from './buffers-state.ts';
import { BuffersStore } from './buffers-store.ts';

let workspace: FakeWorkspace;
let texts: FakeTexts;
let buffers: BuffersStore;

beforeEach(() => {
  workspace = new FakeWorkspace({ 'src/a.ts': 'a\n', 'b.txt': 'b\n', 'c.txt': 'c\n' });
  texts = new FakeTexts();
  let nextId = 1;
  buffers = new BuffersStore({
    workspace: workspace.api,
    texts,
    newId: () => `id${nextId++}`,
    onMerged: () => {},
  });
});

const active = () => {
  const buffer = buffers.active;
  if (!buffer) throw new Error('no active buffer');
  return buffer;
};

async function openAndType(path: string, text: string): Promise<string> {
  await buffers.open(path);
  texts.edit(active().id, text);
  return active().id;
}

describe('opening', () => {
  it('reads a file once and shows the tab again the second time', async () => {
    await buffers.open('src/a.ts');
    await buffers.open('b.txt');
    await buffers.open('src/a.ts');
    expect(buffers.all().map((buffer) => buffer.path)).toEqual(['src/a.ts', 'b.txt']);
    expect(active()).toMatchObject({ path: 'src/a.ts', status: 'ready', languageId: 'typescript', isDirty: false });
  });

  it('keeps the tab of a file that cannot be read and tries again on demand', async () => {
    workspace.put('bin', '', { readError: 'FILE_NOT_TEXT' });
    await buffers.open('bin');
    expect(active()).toMatchObject({ status: 'failed', error: { code: 'FILE_NOT_TEXT' } });
    workspace.put('bin', 'text');
    await buffers.read(active().id);
    expect(active().status).toBe('ready');
  });

  it('reads a restored tab only when it is shown', async () => {
    buffers.addUnread(['b.txt', 'c.txt']);
    expect(buffers.all().map((buffer) => buffer.status)).toEqual(['unread', 'unread']);
    await buffers.activate(buffers.byPath('c.txt')?.id ?? '');
    expect(buffers.all().map((buffer) => buffer.status)).toEqual(['unread', 'ready']);
  });

  it('numbers untitled files without a clash', async () => {
    await buffers.newFile();
    await buffers.newFile();
    expect(buffers.all().map((buffer) => buffer.title)).toEqual(['Untitled-1', 'Untitled-2']);
  });
});

describe('saving', () => {
  it('writes the text and is clean afterwards', async () => {
    const id = await openAndType('b.txt', 'new\n');
    expect(active().isDirty).toBe(true);
    expect(await buffers.save(id)).toBe(true);
    expect(workspace.textOf('b.txt')).toBe('new\n');
    expect(active().isDirty).toBe(false);
  });

  it('stays unsaved when the user typed during the write', async () => {
    const id = await openAndType('b.txt', 'first');
    const saving = buffers.save(id);
    texts.edit(id, 'first and more');
    await saving;
    expect(workspace.textOf('b.txt')).toBe('first');
    expect(active().isDirty).toBe(true);
  });

  it('asks when the file changed on disk, and overwrites only when told to', async () => {
    const id = await openAndType('b.txt', 'mine');
    workspace.put('b.txt', 'theirs');
    expect(await buffers.save(id)).toBe(false);
    expect(buffers.store.getState().prompt).toMatchObject({ kind: 'conflict', id });
    expect(workspace.textOf('b.txt')).toBe('theirs');
    expect(await buffers.save(id, { overwrite: true })).toBe(true);
    expect(workspace.textOf('b.txt')).toBe('mine');
  });

  it('keeps the text and says why when the disk is full, then saves when there is room', async () => {
    const id = await openAndType('b.txt', 'mine');
    workspace.writeError = 'DISK_FULL';
    await buffers.save(id);
    expect(active()).toMatchObject({ isDirty: true, isSaving: false, saveError: { code: 'DISK_FULL' } });
    expect(texts.text(id)).toBe('mine');
    workspace.writeError = null;
    await buffers.save(id);
    expect(active()).toMatchObject({ isDirty: false, saveError: null });
  });

  it('asks for a name for an untitled file and refuses the name of an existing one', async () => {
    await buffers.newFile();
    const { id } = active();
    texts.edit(id, 'text');
    await buffers.save(id);
    expect(buffers.store.getState().prompt).toMatchObject({ kind: 'saveAs', id });
    expect(await buffers.saveAs(id, 'b.txt')).toBe(false);
    expect(workspace.textOf('b.txt')).toBe('b\n');
    expect(await buffers.saveAs(id, 'd.ts')).toBe(true);
    expect(active()).toMatchObject({ path: 'd.ts', title: 'd.ts', languageId: 'typescript', isDirty: false });
  });

  it('saves every unsaved file at once', async () => {
    await openAndType('b.txt', 'B');
    await openAndType('c.txt', 'C');
    await buffers.saveAll();
    expect([workspace.textOf('b.txt'), workspace.textOf('c.txt')]).toEqual(['B', 'C']);
  });
});

describe('closing', () => {
  it('closes a clean tab and shows its neighbour', async () => {
    await buffers.open('b.txt');
    await buffers.open('c.txt');
    const { id } = active();
    buffers.close(id);
    expect(active().path).toBe('b.txt');
    expect(texts.has(id)).toBe(false);
  });

  it('asks before unsaved text is dropped', async () => {
    const id = await openAndType('b.txt', 'mine');
    buffers.close(id);
    expect(buffers.store.getState().prompt).toMatchObject({ kind: 'close', id });
    expect(buffers.get(id)).toBeDefined();
    buffers.discard(id);
    expect(buffers.get(id)).toBeUndefined();
    expect(buffers.store.getState().prompt).toBeNull();
  });

  it('does not close when the save before it failed', async () => {
    const id = await openAndType('b.txt', 'mine');
    workspace.writeError = 'DISK_FULL';
    await buffers.save(id, { closeAfter: true });
    expect(buffers.get(id)?.isDirty).toBe(true);
    workspace.writeError = null;
    await buffers.save(id, { closeAfter: true });
    expect(buffers.get(id)).toBeUndefined();
  });
});

describe('restoring backups', () => {
  const backup = {
    id: 'old',
    path: 'b.txt',
    title: 'b.txt',
    languageId: 'plaintext',
    text: 'typed',
    encoding: 'utf8' as const,
    version: '1',
  };

  it('puts the text back as unsaved', async () => {
    await buffers.restore(backup);
    expect(texts.text('old')).toBe('typed');
    expect(buffers.get('old')).toMatchObject({ isDirty: true, disk: 'same', status: 'ready' });
  });

  it('says when the file on disk is another one now', async () => {
    workspace.put('b.txt', 'theirs');
    await buffers.restore(backup);
    expect(buffers.get('old')).toMatchObject({ isDirty: true, disk: 'changed' });
  });

  it('keeps the text when the file is gone', async () => {
    workspace.remove('b.txt');
    await buffers.restore(backup);
    expect(texts.text('old')).toBe('typed');
    expect(buffers.get('old')).toMatchObject({ isDirty: true, disk: 'deleted' });
  });

  it('brings back an untitled file', async () => {
    await buffers.restore({ ...backup, path: null, title: 'Untitled-1', version: null });
    expect(buffers.get('old')).toMatchObject({ path: null, isDirty: true, disk: 'same' });
  });
});

describe('two halves', () => {
  const shown = () => {
    const state = buffers.store.getState();
    return [shownIn(state, false), shownIn(state, true)].map((id) => buffers.get(id)?.path ?? null);
  };

  it('show the same text first, and then what each was asked for', async () => {
    await buffers.open('src/a.ts');
    buffers.splitRight();
    expect(shown()).toEqual(['src/a.ts', 'src/a.ts']);
    await buffers.open('b.txt');
    expect(shown()).toEqual(['src/a.ts', 'b.txt']);
    buffers.focusHalf(false);
    expect(active().path).toBe('src/a.ts');
    await buffers.open('c.txt');
    expect(shown()).toEqual(['c.txt', 'b.txt']);
    buffers.join();
    expect(buffers.store.getState()).toMatchObject({ split: null, activeId: buffers.byPath('c.txt')?.id });
  });

  it('never show a text that was closed', async () => {
    await buffers.open('src/a.ts');
    buffers.splitRight();
    await buffers.open('b.txt');
    buffers.close(buffers.byPath('src/a.ts')?.id ?? '');
    expect(shown()).toEqual(['b.txt', 'b.txt']);
    buffers.close(active().id);
    expect(buffers.store.getState()).toMatchObject({ split: null, activeId: null });
  });

  it('read what takes the place of a text that was closed in the half without the keyboard', async () => {
    await buffers.open('src/a.ts');
    await buffers.open('b.txt');
    buffers.addUnread(['c.txt']); // a tab of the last session
    buffers.splitRight();
    await buffers.open('src/a.ts');
    buffers.close(buffers.byPath('b.txt')?.id ?? '');
    expect(shown()).toEqual(['c.txt', 'src/a.ts']);
    await expect.poll(() => buffers.byPath('c.txt')?.status).toBe('ready');
  });
});
