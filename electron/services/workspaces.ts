// Which folder is open, which were before, and what each of them had open: tabs, layout and unsaved text.
import { stat } from 'node:fs/promises';
import { basename } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { z } from 'zod';
import { type Backup, backupSchema, type Session, sessionSchema, type WorkspaceInfo } from '../common/app-contract.ts';
import { parseColumn, stored } from './database.ts';

const nRecent = 12;

/** The root under which text is kept that was typed with no folder open. */
const noFolder = '';

export function toWorkspaceInfo(root: string): WorkspaceInfo {
  return { root, name: basename(root) || root };
}

export class Workspaces {
  readonly #database: DatabaseSync;
  #current: WorkspaceInfo | null = null;

  constructor(database: DatabaseSync) {
    this.#database = database;
  }

  get current(): WorkspaceInfo | null {
    return this.#current;
  }

  /** Remembers that `root` is open now, also for the next start. */
  setCurrent(root: string | null, nowMs = Date.now()): void {
    this.#current = root === null ? null : toWorkspaceInfo(root);
    stored('The open folder', () => {
      this.#touch(root ?? noFolder, nowMs);
      this.#database.prepare("INSERT OR REPLACE INTO state VALUES ('workspace', ?)").run(JSON.stringify(root));
    });
  }

  /** The folder that was open when the app ended, if it still exists. */
  async last(): Promise<string | null> {
    const row = this.#database.prepare("SELECT value FROM state WHERE key = 'workspace'").get();
    const root = row === undefined ? null : parseColumn(z.string(), (row as { value: string }).value);
    if (root === null || root === undefined) return null;
    return stat(root).then(
      (info) => (info.isDirectory() ? root : null),
      () => null,
    );
  }

  /** The one used last comes first. */
  recent(): WorkspaceInfo[] {
    const rows = this.#database
      .prepare('SELECT root FROM workspaces WHERE root <> ? ORDER BY opened_at_ms DESC LIMIT ?')
      .all(noFolder, nRecent) as unknown as { root: string }[];
    return rows.map(({ root }) => toWorkspaceInfo(root));
  }

  /** Makes `root` one of the recent folders, so that the window may open it. */
  addRecent(root: string, nowMs = Date.now()): void {
    stored('The folder', () => this.#touch(root, nowMs));
  }

  isRecent(root: string): boolean {
    return (
      root !== noFolder && this.#database.prepare('SELECT 1 FROM workspaces WHERE root = ?').get(root) !== undefined
    );
  }

  loadSession(): Session | null {
    const row = this.#database.prepare('SELECT session FROM workspaces WHERE root = ?').get(this.#key());
    const { session = null } = (row ?? {}) as { session?: string | null };
    return session === null ? null : (parseColumn(sessionSchema, session) ?? null);
  }

  saveSession(session: Session): void {
    stored('The list of open tabs', () => {
      this.#touch(this.#key(), Date.now());
      this.#database
        .prepare('UPDATE workspaces SET session = ? WHERE root = ?')
        .run(JSON.stringify(session), this.#key());
    });
  }

  backups(): Backup[] {
    const rows = this.#database
      .prepare('SELECT backup FROM backups WHERE root = ? ORDER BY rowid')
      .all(this.#key()) as unknown as { backup: string }[];
    return rows.flatMap(({ backup }) => parseColumn(backupSchema, backup) ?? []);
  }

  putBackup(backup: Backup): void {
    stored(`The unsaved text of ${backup.title}`, () =>
      this.#database
        .prepare('INSERT INTO backups VALUES (?, ?, ?) ON CONFLICT (root, id) DO UPDATE SET backup = excluded.backup')
        .run(this.#key(), backup.id, JSON.stringify(backup)),
    );
  }

  deleteBackup(id: string): void {
    stored('The change', () =>
      this.#database.prepare('DELETE FROM backups WHERE root = ? AND id = ?').run(this.#key(), id),
    );
  }

  #key(): string {
    return this.#current?.root ?? noFolder;
  }

  #touch(root: string, nowMs: number): void {
    this.#database
      .prepare(
        'INSERT INTO workspaces (root, opened_at_ms) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET opened_at_ms = ?2',
      )
      .run(root, nowMs);
  }
}
