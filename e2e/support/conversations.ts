// Conversations that are there when the app starts, written by the app's own storage.
import { join } from 'node:path';
import type { StoredMessage } from '../../electron/common/app-contract.ts';
import { Conversations } from '../../electron/services/conversations.ts';
import { openDatabase } from '../../electron/services/database.ts';

/** @param texts questions and answers in turn */
export function storeConversation(userData: string, title: string, texts: readonly string[]): void {
  const { database } = openDatabase(join(userData, 'outpost.db'), Date.now());
  const conversations = new Conversations(database);
  const { id } = conversations.create(title);
  database.exec('BEGIN');
  texts.forEach((content, i) => {
    conversations.putMessage(id, message(`${id}-${i}`, i % 2 === 0 ? 'user' : 'assistant', content));
  });
  database.exec('COMMIT');
  database.close();
}

function message(id: string, role: StoredMessage['role'], content: string): StoredMessage {
  const nothing = { error: null, stats: null, reason: null, modelName: null };
  return { id, role, content, status: 'complete', createdAtMs: Date.now(), ...nothing };
}
