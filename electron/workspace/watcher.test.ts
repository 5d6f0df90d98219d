import { appendFileSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { WorkspaceEvent } from '../common/workspace-contract.ts';
import { temporaryFolder, writeFiles } from '../testing/temporary-folder.ts';
import { Watcher } from './watcher.ts';

/** Watches a real folder. `until` waits for real events of the operating system; the test's own limit ends it. */
function watching(files: Record<string, string>, directories: string[]) {
  const root = join(temporaryFolder(), 'root');
  mkdirSync(root);
  writeFiles(root, files);
  const seen: WorkspaceEvent[] = [];
  let wake = () => {};
  const watcher = new Watcher(root, (event) => {
    seen.push(event);
    wake();
  });
  onTestFinished(() => watcher.close());
  const add = (directory: string) => watcher.add(directory, join(root, directory));
  for (const directory of directories) add(directory);
  return {
    root,
    add,
    seen,
    /** Resolves when some event so far, or a later one, fulfills the condition; forgets what came before. */
    async until(isIt: (event: WorkspaceEvent) => boolean): Promise<WorkspaceEvent> {
      for (;;) {
        const at = seen.findIndex(isIt);
        const [event] = at < 0 ? [] : seen.splice(0, at + 1).slice(-1);
        if (event) return event;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    },
  };
}

const names = (path: string) => (event: WorkspaceEvent) => event.type === 'changed' && event.files.includes(path);

describe('what changes in a watched folder', () => {
  it('names a file that was changed, and its folder', async () => {
    const { root, until } = watching({ 'src/a.ts': 'x' }, ['', 'src']);
    appendFileSync(join(root, 'src/a.ts'), 'y');
    expect(await until(names('src/a.ts'))).toMatchObject({ directories: ['src'] });
  });

  it('names files that come, go, and get another name', async () => {
    const { root, until } = watching({ old: '', doomed: '' }, ['']);
    writeFileSync(join(root, 'new'), '');
    expect(await until(names('new'))).toMatchObject({ directories: [''] });
    rmSync(join(root, 'doomed'));
    await until(names('doomed'));
    renameSync(join(root, 'old'), join(root, 'other'));
    await until((event) => names('old')(event) && names('other')(event));
  });

  it('gathers a burst into one event without repeating anything', async () => {
    const { root, until, seen } = watching({ a: '', b: '' }, ['']);
    for (let i = 0; i < 50; i++) for (const name of ['a', 'b']) appendFileSync(join(root, name), 'x');
    const event = await until(names('b'));
    expect(event).toEqual({ type: 'changed', directories: [''], files: ['a', 'b'] });
    expect(seen).toEqual([]);
  });

  it('is silent about folders that nobody looks at', async () => {
    const { root, until } = watching({ 'seen/a': '', 'unseen/b': '' }, ['seen']);
    writeFileSync(join(root, 'unseen/b'), 'x');
    writeFileSync(join(root, 'seen/a'), 'x');
    expect(await until(names('seen/a'))).toEqual({ type: 'changed', directories: ['seen'], files: ['seen/a'] });
  });

  it('takes a folder that cannot be watched', () => {
    const { add, root } = watching({}, []);
    add('missing');
    expect(root).toBeTruthy();
  });
});

describe('a folder that goes and comes back', () => {
  it('is heard of again once it is listed again', async () => {
    const { root, add, until } = watching({ 'src/a': '' }, ['', 'src']);
    rmSync(join(root, 'src'), { recursive: true });
    await until((event) => event.type === 'changed' && event.directories.includes(''));
    mkdirSync(join(root, 'src'));
    await until(names('src'));
    add('src'); // the window lists it
    writeFileSync(join(root, 'src/new'), '');
    await until(names('src/new'));
  });

  it('is heard of although it was replaced faster than anybody could look', async () => {
    const { root, add, until } = watching({ 'src/a': '' }, ['', 'src']);
    rmSync(join(root, 'src'), { recursive: true });
    mkdirSync(join(root, 'src'));
    await until((event) => event.type === 'changed' && event.directories.includes('src'));
    add('src');
    writeFileSync(join(root, 'src/new'), '');
    await until(names('src/new'));
  });

  it('is not mixed up with one that moved away', async () => {
    const { root, add, until, seen } = watching({ 'src/deep/a': '', log: '' }, ['', 'src', 'src/deep']);
    renameSync(join(root, 'src'), join(root, 'moved'));
    await until(names('src'));
    writeFiles(root, { 'src/deep/': '' });
    await until(names('src'));
    for (const directory of ['src', 'src/deep']) add(directory);
    writeFileSync(join(root, 'moved/deep/elsewhere'), '');
    writeFileSync(join(root, 'src/deep/here'), '');
    await until(names('src/deep/here'));
    expect(seen.some(names('src/deep/elsewhere'))).toBe(false);
  });
});

it('says when the root is gone, and when it is back', { timeout: 20_000 }, async () => {
  const { root, add, until } = watching({ a: '' }, ['']);
  rmSync(root, { recursive: true });
  await until(({ type }) => type === 'rootGone');
  mkdirSync(root);
  await until(({ type }) => type === 'rootBack');
  add('');
  writeFileSync(join(root, 'new'), '');
  await until(names('new'));
});

it('takes a root that became a file for gone', { timeout: 20_000 }, async () => {
  const { root, until } = watching({}, []);
  rmSync(root, { recursive: true });
  writeFileSync(root, '');
  await until(({ type }) => type === 'rootGone');
});
