// The app's SQLite file: conversations, sessions, backups. One connection, in main, synchronous: every statement is
// small.
import { existsSync, renameSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import type { z } from 'zod';
import { appError } from '../common/app-error.ts';
import type { ErrorInfo } from '../common/errors.ts';

/** Applied in order, each once; `user_version` counts them. A migration that was released is never edited. */
const migrations = [
  `CREATE TABLE conversations (
     id TEXT PRIMARY KEY, title TEXT NOT NULL, created_at_ms REAL NOT NULL, updated_at_ms REAL NOT NULL
   ) STRICT;
   CREATE TABLE messages (
     position INTEGER PRIMARY KEY AUTOINCREMENT,
     conversation_id TEXT NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
     id TEXT NOT NULL,
     message TEXT NOT NULL,  -- a StoredMessage as JSON
     UNIQUE (conversation_id, id)
   ) STRICT;
   CREATE TABLE workspaces (
     root TEXT PRIMARY KEY,  -- absolute; empty: no folder open
     opened_at_ms REAL NOT NULL,
     session TEXT  -- a Session as JSON
   ) STRICT;
   CREATE TABLE backups (
     root TEXT NOT NULL, id TEXT NOT NULL, backup TEXT NOT NULL,  -- a Backup as JSON
     PRIMARY KEY (root, id)
   ) STRICT;
   CREATE TABLE state (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;  -- values as JSON`,
  'ALTER TABLE conversations ADD COLUMN leaf_id TEXT', // the branch that is shown
];

/** @returns the open database, and what the user should know about how it was found */
export function openDatabase(path: string, nowMs: number): { database: DatabaseSync; problem: ErrorInfo | null } {
  try {
    return { database: openChecked(path), problem: null };
  } catch (error) {
    if (!isDamage(error)) throw unopened(path, error);
    const kept = `${path}.damaged-${nowMs}`;
    for (const suffix of ['', '-wal', '-shm']) {
      if (existsSync(path + suffix)) renameSync(path + suffix, kept + suffix);
    }
    const problem: ErrorInfo = {
      code: 'IO_ERROR',
      message: 'The file with the conversations was damaged.',
      hint: `It is kept as ${kept}. A new one was started.`,
      detail: (error as Error).message,
    };
    return { database: openChecked(path), problem };
  }
}

/** SQLite does not say which file. */
function unopened(path: string, error: unknown): unknown {
  const { errcode, message } = error as { errcode?: number; message: string };
  if (errcode === undefined) return error;
  return new Error(
    `${path} cannot be opened: ${message}. Another program may be using it, or it may not be written here.`,
    { cause: error },
  );
}

class DamagedError extends Error {}

function isDamage(error: unknown): boolean {
  const { errcode = 0 } = error as { errcode?: number };
  const primary = errcode & 0xff; // the rest tells where it was found
  const [corrupt, notADatabase] = [11, 26]; // SQLITE_CORRUPT, SQLITE_NOTADB
  return error instanceof DamagedError || primary === corrupt || primary === notADatabase;
}

function openChecked(path: string): DatabaseSync {
  const database = new DatabaseSync(path);
  try {
    // WAL: a crash loses no finished statement and never leaves half of one.
    database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON;');
    const { quick_check: verdict } = database.prepare('PRAGMA quick_check(1)').get() as { quick_check: string };
    if (verdict !== 'ok') throw new DamagedError(verdict);
    migrate(database, path);
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

function migrate(database: DatabaseSync, path: string): void {
  const { user_version: nApplied } = database.prepare('PRAGMA user_version').get() as { user_version: number };
  if (nApplied > migrations.length) {
    throw new Error(
      `${path} was written by a newer version of Outpost (${nApplied}, this one knows ${migrations.length}).`,
    );
  }
  for (const [i, migration] of migrations.entries()) {
    if (i < nApplied) continue;
    database.exec(`BEGIN;\n${migration};\nPRAGMA user_version = ${i + 1}; COMMIT;`);
  }
}

/** Runs `body`; a full disk and other refusals of SQLite become errors for the user. */
export function stored<T>(what: string, body: () => T): T {
  try {
    return body();
  } catch (error) {
    const { errcode, message } = error as { errcode?: number; message: string };
    if (errcode === undefined) throw error;
    const full = 13; // SQLITE_FULL
    if ((errcode & 0xff) === full) {
      throw appError(
        'DISK_FULL',
        `${what} could not be stored: the disk is full.`,
        { hint: 'Free some space.' },
        error,
      );
    }
    throw appError('IO_ERROR', `${what} could not be stored.`, { detail: message }, error);
  }
}

/** What a column holds as JSON; undefined where that is not what the schema says: the rest is worth more. */
export function parseColumn<T>(schema: z.ZodType<T>, json: string): T | undefined {
  try {
    return schema.parse(JSON.parse(json));
  } catch {
    return undefined;
  }
}
