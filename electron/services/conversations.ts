// Conversations and their messages in SQLite.
import { randomUUID } from 'node:crypto';
import type { DatabaseSync } from 'node:sqlite';
import { type Conversation, type StoredMessage, storedMessageSchema } from '../common/app-contract.ts';
import { appError } from '../common/app-error.ts';
import { parseColumn, stored } from './database.ts';

interface Row {
  id: string;
  title: string;
  created_at_ms: number;
  updated_at_ms: number;
  leaf_id: string | null;
}

export class Conversations {
  readonly #database: DatabaseSync;

  constructor(database: DatabaseSync) {
    this.#database = database;
  }

  /** The one used last comes first. */
  list(): Conversation[] {
    const rows = this.#database.prepare('SELECT * FROM conversations ORDER BY updated_at_ms DESC').all();
    return (rows as unknown as Row[]).map(({ id, title, created_at_ms, updated_at_ms, leaf_id }) => ({
      id,
      title,
      createdAtMs: created_at_ms,
      updatedAtMs: updated_at_ms,
      leafId: leaf_id,
    }));
  }

  create(title: string, nowMs = Date.now()): Conversation {
    const id = randomUUID();
    stored('The conversation', () =>
      this.#database.prepare('INSERT INTO conversations VALUES (?, ?, ?, ?, NULL)').run(id, title, nowMs, nowMs),
    );
    return { id, title, createdAtMs: nowMs, updatedAtMs: nowMs, leafId: null };
  }

  rename(id: string, title: string): void {
    this.#change('UPDATE conversations SET title = ? WHERE id = ?', title, id);
  }

  delete(id: string): void {
    this.#change('DELETE FROM conversations WHERE id = ?', id);
  }

  messages(id: string): StoredMessage[] {
    const rows = this.#database
      .prepare('SELECT message FROM messages WHERE conversation_id = ? ORDER BY position')
      .all(id) as unknown as { message: string }[];
    return rows.flatMap(({ message }) => parseColumn(storedMessageSchema, message) ?? []);
  }

  /** @throws NOT_FOUND if the conversation was deleted */
  putMessage(conversationId: string, message: StoredMessage, nowMs = Date.now()): void {
    this.#change('UPDATE conversations SET updated_at_ms = ? WHERE id = ?', nowMs, conversationId);
    stored('The message', () =>
      this.#database
        .prepare(
          `INSERT INTO messages (conversation_id, id, message) VALUES (?, ?, ?)
           ON CONFLICT (conversation_id, id) DO UPDATE SET message = excluded.message`,
        )
        .run(conversationId, message.id, JSON.stringify(message)),
    );
  }

  /** @throws NOT_FOUND */
  setLeaf(id: string, leafId: string): void {
    this.#change('UPDATE conversations SET leaf_id = ? WHERE id = ?', leafId, id);
  }

  /** Ids of the conversations with a message that holds `text`, in either case. */
  search(text: string): string[] {
    const rows = this.#database
      .prepare(
        `SELECT conversation_id AS id FROM messages JOIN conversations ON conversations.id = conversation_id
         WHERE CASE WHEN json_valid(message) THEN instr(lower(json_extract(message, '$.content')), lower(?)) > 0 END
         GROUP BY conversation_id ORDER BY updated_at_ms DESC`,
      )
      .all(text) as unknown as { id: string }[];
    return rows.map(({ id }) => id);
  }

  #change(sql: string, ...values: (string | number)[]): void {
    const { changes } = stored('The change', () => this.#database.prepare(sql).run(...values));
    if (changes === 0) throw appError('NOT_FOUND', 'This conversation does not exist any more.');
  }
}
