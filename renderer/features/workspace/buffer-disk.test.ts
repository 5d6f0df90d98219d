import { beforeEach, describe, expect, it } from 'vitest';
import { random } from '../../lib/testing/random.ts';
import { FakeTexts } from '../../testing/fake-texts.ts';
import { FakeWorkspace } from '../../testing/fake-workspace.ts';
import { BuffersStore } from './buffers-store.ts';

let workspace: FakeWorkspace;
let texts: FakeTexts;
let buffers: BuffersStore;
let merged: string[];

function openWorkspace(files: Readonly<Record<string, string>>): void {
  workspace = new FakeWorkspace(files);
  texts = new FakeTexts();
  merged = [];
  let nextId = 1;
  buffers = new BuffersStore({
    workspace: workspace.api,
    texts,
    newId: () => `id${nextId++}`,
    onMerged: (title) => merged.push(title),
  });
}

beforeEach(() => openWorkspace({ 'src/a.ts': 'a\n', 'b.txt': 'b\n', 'list.txt': 'one\ntwo\nthree\n' }));

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

describe('changes on disk', () => {
  it('follows in a clean buffer', async () => {
    await buffers.open('b.txt');
    workspace.put('b.txt', 'theirs');
    await buffers.filesChanged(['b.txt']);
    expect(texts.text(active().id)).toBe('theirs');
    expect(active().isDirty).toBe(false);
  });

  it('reads a file that changes all the time once at a time, and has its last text', async () => {
    await buffers.open('b.txt');
    const read = workspace.api.read;
    let nReads = 0;
    workspace.api.read = async (input) => {
      nReads += 1;
      await new Promise((resolve) => setTimeout(resolve, 5));
      return read(input);
    };
    const looks = [];
    for (let i = 0; i < 50; i++) {
      workspace.put('b.txt', `line ${i}`);
      looks.push(buffers.filesChanged(['b.txt']));
    }
    await Promise.all(looks);
    expect(nReads).toBe(2);
    expect(texts.text(active().id)).toBe('line 49');
  });

  it('marks an unsaved buffer and leaves its text alone', async () => {
    const id = await openAndType('b.txt', 'mine');
    workspace.put('b.txt', 'theirs');
    await buffers.filesChanged(['b.txt']);
    expect(active().disk).toBe('changed');
    expect(texts.text(id)).toBe('mine');
    await buffers.reload(id);
    expect(texts.text(id)).toBe('theirs');
    expect(active()).toMatchObject({ disk: 'same', isDirty: false });
  });

  it('does not take its own write for a change', async () => {
    const id = await openAndType('b.txt', 'mine');
    await buffers.save(id);
    await buffers.filesChanged(['b.txt']);
    expect(active()).toMatchObject({ disk: 'same', isDirty: false });
  });

  it('keeps the text of a deleted file as unsaved, and saving creates it again', async () => {
    await buffers.open('b.txt');
    const { id } = active();
    workspace.remove('b.txt');
    await buffers.filesChanged(['b.txt']);
    expect(active()).toMatchObject({ disk: 'deleted', isDirty: true });
    expect(await buffers.save(id)).toBe(true);
    expect(workspace.textOf('b.txt')).toBe('b\n');
  });

  it('follows a renamed folder', async () => {
    await buffers.open('src/a.ts');
    buffers.pathRenamed('src', 'lib');
    expect(active().path).toBe('lib/a.ts');
  });
});

describe('changes on disk under unsaved text', () => {
  /** "ONE" is mine, "THREE" another program's. */
  async function mergedList(): Promise<string> {
    const id = await openAndType('list.txt', 'ONE\ntwo\nthree\n');
    workspace.put('list.txt', 'one\ntwo\nTHREE\n');
    await buffers.filesChanged(['list.txt']);
    return id;
  }

  it('come into the text where both changed other lines, and saving writes both', async () => {
    const id = await mergedList();
    expect(texts.text(id)).toBe('ONE\ntwo\nTHREE\n');
    expect(merged).toEqual(['list.txt']);
    expect(active()).toMatchObject({ isDirty: true, disk: 'same' });
    expect(await buffers.save(id)).toBe(true);
    expect(workspace.textOf('list.txt')).toBe('ONE\ntwo\nTHREE\n');
    expect(active().isDirty).toBe(false);
  });

  it('come in with a save that is quicker than their notice', async () => {
    const id = await openAndType('list.txt', 'ONE\ntwo\nthree\n');
    workspace.put('list.txt', 'one\ntwo\nTHREE\n');
    expect(await buffers.save(id)).toBe(true);
    expect(workspace.textOf('list.txt')).toBe('ONE\ntwo\nTHREE\n');
    expect(buffers.store.getState().prompt).toBeNull();
    expect(merged).toEqual(['list.txt']);
  });

  it('leave nothing unsaved where both are the same', async () => {
    await openAndType('list.txt', 'ONE\ntwo\nthree\n');
    workspace.put('list.txt', 'ONE\ntwo\nthree\n');
    await buffers.filesChanged(['list.txt']);
    expect(active()).toMatchObject({ isDirty: false, disk: 'same' });
  });

  it('are asked about by a save once they were taken back', async () => {
    const id = await mergedList();
    texts.undo(id);
    expect(texts.text(id)).toBe('ONE\ntwo\nthree\n');
    expect(active()).toMatchObject({ isDirty: true, disk: 'changed' });
    expect(await buffers.save(id)).toBe(false);
    expect(buffers.store.getState().prompt).toMatchObject({ kind: 'conflict', id });
    expect(workspace.textOf('list.txt')).toBe('one\ntwo\nTHREE\n');
    texts.redo(id);
    expect(active()).toMatchObject({ isDirty: true, disk: 'same' });
    expect(await buffers.save(id)).toBe(true);
    expect(workspace.textOf('list.txt')).toBe('ONE\ntwo\nTHREE\n');
  });

  it('come in one after the other', async () => {
    const id = await mergedList();
    workspace.put('list.txt', 'one\ntwo\nTHREE\nfour\n');
    await buffers.filesChanged(['list.txt']);
    expect(texts.text(id)).toBe('ONE\ntwo\nTHREE\nfour\n');
    texts.undo(id);
    texts.undo(id);
    expect(texts.text(id)).toBe('ONE\ntwo\nthree\n');
    expect(await buffers.save(id)).toBe(false);
    texts.redo(id);
    texts.redo(id);
    expect(await buffers.save(id)).toBe(true);
    expect(workspace.textOf('list.txt')).toBe('ONE\ntwo\nTHREE\nfour\n');
  });

  it('come into text that a crash left unsaved', async () => {
    const backup = {
      id: 'old',
      path: 'list.txt',
      title: 'list.txt',
      languageId: 'plaintext',
      encoding: 'utf8' as const,
    };
    await buffers.restore({ ...backup, text: 'ONE\ntwo\nthree\n', version: '1' });
    workspace.put('list.txt', 'one\ntwo\nTHREE\n');
    await buffers.filesChanged(['list.txt']);
    expect(texts.text('old')).toBe('ONE\ntwo\nTHREE\n');
  });
});

it('loses no line of anybody, whatever is typed, written by others, saved, undone and done again', async () => {
  const { int, pick } = random(41);
  let nSaved = 0;
  let nMerged = 0;
  let nAsked = 0;
  for (let round = 0; round < 150; round++) {
    const lines = Array.from({ length: 12 }, (_, i) => `line ${i}`);
    openWorkspace({ 'list.txt': `${lines.join('\n')}\n` });
    await buffers.open('list.txt');
    const { id } = active();
    /** What others wrote, to the disk and nowhere else. */
    const theirs: string[] = [];
    let nMade = 0;
    const withLine = (text: string, line: string) => {
      const all = text.split('\n');
      all.splice(int(all.length), 0, line);
      return all.join('\n');
    };
    const checkDisk = () => {
      const onDisk = workspace.textOf('list.txt') ?? '';
      for (const line of theirs) expect(onDisk.split('\n')).toContain(line);
    };
    for (let step = 0; step < 25; step++) {
      const before = texts.text(id);
      const mine = before.split('\n').filter((line) => line.startsWith('mine'));
      switch (pick(['type', 'type', 'theirs', 'notice', 'save', 'undo', 'redo'])) {
        case 'type':
          texts.edit(id, withLine(before, `mine ${nMade++}`));
          break;
        case 'theirs':
          theirs.push(`theirs ${nMade++}`);
          workspace.put('list.txt', withLine(workspace.textOf('list.txt') ?? '', theirs.at(-1) ?? ''));
          break;
        case 'notice':
          await buffers.filesChanged(['list.txt']);
          break;
        case 'save':
          if (await buffers.save(id)) {
            nSaved += 1;
            expect(workspace.textOf('list.txt')).toBe(texts.text(id));
          }
          break;
        // A text that is as it was saved: to take that back, and save it, is to want it so.
        case 'undo':
          if (active().isDirty) texts.undo(id);
          continue;
        case 'redo':
          texts.redo(id);
          continue;
      }
      for (const line of mine) expect(texts.text(id).split('\n')).toContain(line);
      checkDisk();
      // The user looks at both, and has both.
      if (buffers.store.getState().prompt !== null) {
        nAsked += 1;
        buffers.answerPrompt();
        const missing = theirs.filter((line) => !texts.text(id).split('\n').includes(line));
        texts.edit(id, `${texts.text(id)}${missing.map((line) => `${line}\n`).join('')}`);
        expect(await buffers.save(id, { overwrite: true })).toBe(true);
        checkDisk();
      }
    }
    nMerged += merged.length;
  }
  for (const n of [nSaved, nMerged, nAsked]) expect(n).toBeGreaterThan(20);
});
