import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import type { Backup, Session } from '../common/app-contract.ts';
import { temporaryFolder } from '../testing/temporary-folder.ts';
import { openDatabase } from './database.ts';
import { WindowPlaces } from './window-places.ts';
import { Workspaces } from './workspaces.ts';

function opened() {
  const { database } = openDatabase(join(temporaryFolder(), 'outpost.db'), 0);
  onTestFinished(() => database.close());
  return { database, workspaces: new Workspaces(database) };
}

const session = (path: string): Session => ({
  tabs: [{ path, backupId: null }],
  activeTab: 0,
  expandedDirectories: ['src'],
  layout: { left: 20 },
  conversationId: null,
});
const backup = (id: string, text = id): Backup => ({
  id,
  path: null,
  title: id,
  languageId: 'plaintext',
  text,
  encoding: 'utf8',
  version: null,
});

it('keeps the session of each folder, and one for no folder', () => {
  const { workspaces } = opened();
  expect(workspaces.loadSession()).toBeNull();
  for (const root of ['/a', '/b', null]) {
    workspaces.setCurrent(root);
    expect(workspaces.loadSession()).toBeNull();
    workspaces.saveSession(session(`in ${root}`));
  }
  for (const root of ['/a', '/b', null]) {
    workspaces.setCurrent(root);
    expect(workspaces.loadSession()).toEqual(session(`in ${root}`));
  }
});

it('keeps the session of no folder before anything was opened', () => {
  const { workspaces } = opened();
  workspaces.saveSession(session('untitled'));
  expect(workspaces.loadSession()).toEqual(session('untitled'));
  expect(workspaces.recent()).toEqual([]);
});

it('starts anew where a session cannot be understood', () => {
  const { workspaces, database } = opened();
  for (const broken of ['{"tabs": 7}', '{"tabs": ']) {
    workspaces.setCurrent('/a');
    database.prepare('UPDATE workspaces SET session = ?').run(broken);
    expect(workspaces.loadSession()).toBeNull();
  }
});

it('keeps unsaved text per folder, in the order it was begun, and replaces it', () => {
  const { workspaces } = opened();
  workspaces.putBackup(backup('untitled'));
  workspaces.setCurrent('/a');
  for (const id of ['1', '2', '3']) workspaces.putBackup(backup(id));
  workspaces.putBackup(backup('1', 'typed on\n😀'));
  expect(workspaces.backups()).toEqual([backup('1', 'typed on\n😀'), backup('2'), backup('3')]);
  workspaces.deleteBackup('2');
  workspaces.deleteBackup('unknown');
  expect(workspaces.backups().map(({ id }) => id)).toEqual(['1', '3']);
  workspaces.setCurrent(null);
  expect(workspaces.backups()).toEqual([backup('untitled')]);
  workspaces.deleteBackup('1');
  workspaces.setCurrent('/a');
  expect(workspaces.backups()).toHaveLength(2);
});

it('leaves out unsaved text that it cannot understand, and gives back the rest', () => {
  const { workspaces, database } = opened();
  for (const id of ['1', '2', '3']) workspaces.putBackup(backup(id));
  database.exec(`UPDATE backups SET backup = '{}' WHERE id = '1'`);
  database.exec(`UPDATE backups SET backup = '{"id' WHERE id = '2'`);
  expect(workspaces.backups()).toEqual([backup('3')]);
});

it('lists the folders of last time, the last one first, at most twelve', () => {
  const { workspaces } = opened();
  for (let i = 0; i < 20; i++) workspaces.setCurrent(`/folder ${i}`, i);
  workspaces.setCurrent('/folder 3', 100);
  workspaces.setCurrent(null, 101);
  workspaces.addRecent('/added', 102);
  const roots = workspaces.recent().map(({ root }) => root);
  expect(roots).toHaveLength(12);
  expect(roots.slice(0, 3)).toEqual(['/added', '/folder 3', '/folder 19']);
  expect(workspaces.current).toBeNull();
});

it('knows which folders the window may open by itself', () => {
  const { workspaces } = opened();
  workspaces.setCurrent('/a');
  workspaces.setCurrent(null);
  workspaces.addRecent('/b');
  expect(['/a', '/b', '/c', '/a/..', '', '/'].map((root) => workspaces.isRecent(root))).toEqual([
    true,
    true,
    false,
    false,
    false,
    false,
  ]);
});

it('opens the folder again that was open, if it is still there', async () => {
  const { workspaces, database } = opened();
  expect(await workspaces.last()).toBeNull();
  const root = temporaryFolder({ file: '' });
  workspaces.setCurrent(root);
  expect(await new Workspaces(database).last()).toBe(root);
  workspaces.setCurrent(join(root, 'file'));
  expect(await workspaces.last()).toBeNull();
  workspaces.setCurrent(root);
  rmSync(root, { recursive: true });
  expect(await workspaces.last()).toBeNull();
  workspaces.setCurrent(null);
  expect(await workspaces.last()).toBeNull();
});

it('calls a folder by its name, and the root of a disk by its path', () => {
  const { workspaces } = opened();
  workspaces.setCurrent('/home/me/project');
  expect(workspaces.current).toEqual({ root: '/home/me/project', name: 'project' });
  workspaces.setCurrent('/');
  expect(workspaces.current).toEqual({ root: '/', name: '/' });
});

it('remembers where the window was, and forgets a place that makes no sense', () => {
  const { database } = opened();
  const places = new WindowPlaces(database);
  expect(places.load()).toBeNull();
  const place = { x: -5, y: 0, width: 800, height: 600, isMaximized: true };
  places.save(place);
  places.save({ ...place, x: 7 });
  expect(places.load()).toEqual({ ...place, x: 7 });
  for (const broken of ['{"x": "left"}', '{"x']) {
    database.prepare("UPDATE state SET value = ? WHERE key = 'window'").run(broken);
    expect(places.load()).toBeNull();
  }
  database.exec('DROP TABLE state');
  places.save(place); // not worth an error
});
