import { readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { describe, expect, it, onTestFinished } from 'vitest';
import { temporaryFolder } from '../testing/temporary-folder.ts';
import { Conversations } from './conversations.ts';
import { openDatabase, stored } from './database.ts';

const nowMs = 1_700_000_000_000;

function open(path: string) {
  const found = openDatabase(path, nowMs);
  onTestFinished(() => {
    if (found.database.isOpen) found.database.close();
  });
  return found;
}

const inFolder = () => join(temporaryFolder(), 'outpost.db');

const tables = (database: DatabaseSync) =>
  (database.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name").all() as { name: string }[])
    .map(({ name }) => name)
    .filter((name) => !name.startsWith('sqlite_'));

/** A closed file with conversations over many pages. */
function filled(): string {
  const path = inFolder();
  const { database } = openDatabase(path, nowMs);
  const conversations = new Conversations(database);
  for (let i = 0; i < 200; i++) conversations.create(`${i} ${'x'.repeat(500)}`);
  database.close();
  return path;
}

it('names the file that another program has locked', () => {
  const path = filled();
  const { database } = open(path);
  database.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE');
  expect(() => openDatabase(path, nowMs)).toThrow(`${path} cannot be opened: database is locked.`);
});

it('makes a new file with all tables', () => {
  const { database, problem } = open(inFolder());
  expect(problem).toBeNull();
  expect(tables(database)).toEqual(['backups', 'conversations', 'messages', 'state', 'workspaces']);
  expect(database.prepare('PRAGMA journal_mode').get()).toEqual({ journal_mode: 'wal' });
  expect(database.prepare('PRAGMA foreign_keys').get()).toEqual({ foreign_keys: 1 });
});

it('applies a migration once and keeps what is stored', () => {
  const path = filled();
  for (let i = 0; i < 2; i++) {
    const { database, problem } = open(path);
    expect(problem).toBeNull();
    expect(new Conversations(database).list()).toHaveLength(200);
    database.close();
  }
});

it('refuses a file of a newer version and leaves it alone', () => {
  const path = filled();
  const { database } = open(path);
  database.exec('PRAGMA user_version = 99');
  database.close();
  expect(() => open(path)).toThrow(/newer version of Outpost \(99/);
  expect(readdirSync(join(path, '..')).filter((name) => name.includes('damaged'))).toEqual([]);
});

describe('a damaged file', () => {
  const damages: [string, (path: string) => void][] = [
    ['is no database', (path) => writeFileSync(path, 'This is no database. '.repeat(100))],
    ['is cut off in the middle', (path) => truncateSync(path, Math.floor(statSync(path).size / 2))],
    ['is cut off in a page', (path) => truncateSync(path, 5000)],
    ['is cut off in its header', (path) => truncateSync(path, 50)],
    ['has a page of noise', (path) => overwrite(path, 8192, Buffer.alloc(4096, 0xa5))],
    ['has zeros for its schema', (path) => overwrite(path, 100, Buffer.alloc(3996))],
    ['has noise for its schema', (path) => overwrite(path, 100, Buffer.alloc(3996, 0x5a))],
  ];

  function overwrite(path: string, at: number, bytes: Buffer): void {
    const content = readFileSync(path);
    bytes.copy(content, at);
    writeFileSync(path, content);
  }

  it.each(damages)('that %s is kept aside, and the app starts with a new one', (_name, damage) => {
    const path = filled();
    damage(path);
    const damaged = readFileSync(path);
    const { database, problem } = open(path);
    const kept = `${path}.damaged-${nowMs}`;
    expect(problem).toMatchObject({ code: 'IO_ERROR', hint: expect.stringContaining(kept) });
    expect(readFileSync(kept)).toEqual(damaged);
    const conversations = new Conversations(database);
    conversations.create('works');
    expect(conversations.list()).toHaveLength(1);
  });

  it('never keeps the app from starting, wherever the damage is', () => {
    const path = filled();
    const sound = readFileSync(path);
    for (let at = 0; at < sound.length; at += 1531) {
      const content = Buffer.from(sound);
      content.fill(0xff, at, at + 16);
      const copy = inFolder();
      writeFileSync(copy, content);
      open(copy).database.close();
    }
  });

  it('that is empty is a new one', () => {
    const path = inFolder();
    writeFileSync(path, '');
    expect(open(path).problem).toBeNull();
  });
});

it('says that the file cannot be opened where its folder is missing', () => {
  expect(() => open(join(temporaryFolder(), 'missing', 'outpost.db'))).toThrow(/unable to open/);
});

describe('stored', () => {
  const failing = (errcode: number | undefined) => () => {
    throw Object.assign(new Error('no'), errcode === undefined ? {} : { errcode });
  };

  it('tells a full disk from other refusals, and a bug from both', () => {
    expect(stored('It', () => 7)).toBe(7);
    expect(() => stored('It', failing(13))).toThrow(
      expect.objectContaining({ code: 'DISK_FULL', message: 'It could not be stored: the disk is full.' }),
    );
    expect(() => stored('It', failing(13 | (1 << 8)))).toThrow(expect.objectContaining({ code: 'DISK_FULL' }));
    expect(() => stored('It', failing(8))).toThrow(
      expect.objectContaining({ code: 'IO_ERROR', data: { detail: 'no' } }),
    );
    expect(() => stored('It', failing(undefined))).toThrow(/^no$/);
  });

  it('is what a database says that may not grow', () => {
    const { database } = open(inFolder());
    const { page_count: n } = database.prepare('PRAGMA page_count').get() as { page_count: number };
    database.exec(`PRAGMA max_page_count = ${n + 2}`);
    const conversations = new Conversations(database);
    const { id } = conversations.create('small');
    const message = {
      id: 'm',
      role: 'user',
      content: 'x'.repeat(100_000),
      status: 'complete',
      error: null,
      stats: null,
      reason: null,
      modelName: null,
      createdAtMs: 1,
    } as const;
    expect(() => conversations.putMessage(id, message)).toThrow(expect.objectContaining({ code: 'DISK_FULL' }));
    expect(conversations.messages(id)).toEqual([]);
    expect(conversations.list()).toHaveLength(1);
  });
});
