import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import type { StoredMessage } from '../common/app-contract.ts';
import { temporaryFolder } from '../testing/temporary-folder.ts';
import { Conversations } from './conversations.ts';
import { openDatabase } from './database.ts';

function opened() {
  const { database } = openDatabase(join(temporaryFolder(), 'outpost.db'), 0);
  onTestFinished(() => database.close());
  return { database, conversations: new Conversations(database) };
}

const message = (id: string, content = id): StoredMessage => ({
  id,
  role: 'user',
  content,
  status: 'complete',
  error: null,
  stats: null,
  reason: null,
  modelName: null,
  createdAtMs: 1,
});
const ids = (messages: { id: string }[]) => messages.map(({ id }) => id);
const isMissing = expect.objectContaining({ code: 'NOT_FOUND' });

it('lists the conversation first that was used last', () => {
  const { conversations } = opened();
  const [a, b, c] = ['a', 'b', 'c'].map((title, i) => conversations.create(title, i)) as { id: string }[];
  expect(conversations.list().map(({ title }) => title)).toEqual(['c', 'b', 'a']);
  conversations.putMessage(a?.id ?? '', message('1'), 10);
  expect(ids(conversations.list())).toEqual(ids([a, c, b] as { id: string }[]));
  expect(conversations.list()[0]).toEqual({ id: a?.id, title: 'a', createdAtMs: 0, updatedAtMs: 10, leafId: null });
});

it('gives back every character', () => {
  const { conversations } = opened();
  const title = `'"; DROP TABLE messages; -- 😀\n`;
  const { id } = conversations.create(title);
  conversations.putMessage(id, message('1', `${title}\u2028\uFFFD`));
  expect(conversations.list()[0]?.title).toBe(title);
  expect(conversations.messages(id)[0]?.content).toBe(`${title}\u2028\uFFFD`);
});

it('replaces a message in its place, and keeps the same ids of different conversations apart', () => {
  const { conversations } = opened();
  const [a, b] = [conversations.create('a'), conversations.create('b')];
  for (const id of ['1', '2', '3']) conversations.putMessage(a.id, message(id));
  conversations.putMessage(b.id, message('1', 'other'));
  conversations.putMessage(a.id, message('1', 'new'));
  expect(conversations.messages(a.id).map(({ content }) => content)).toEqual(['new', '2', '3']);
  expect(conversations.messages(b.id).map(({ content }) => content)).toEqual(['other']);
});

it('keeps which branch is shown', () => {
  const { conversations } = opened();
  const { id } = conversations.create('a');
  conversations.setLeaf(id, '7');
  expect(conversations.list()[0]?.leafId).toBe('7');
  expect(() => conversations.setLeaf('unknown', '7')).toThrow(isMissing);
});

it('finds conversations by what was said in them', () => {
  const { conversations, database } = opened();
  const [a, b, c] = [conversations.create('a'), conversations.create('b'), conversations.create('status')];
  conversations.putMessage(a.id, message('1', 'A "Bounded" 100%_queue'), 1);
  conversations.putMessage(a.id, message('2', 'bounded again'), 2);
  conversations.putMessage(b.id, message('1', 'unbounded'), 3);
  conversations.putMessage(c.id, message('1', 'other'), 4);
  conversations.putMessage(c.id, message('2', 'other'), 4);
  database.exec(`UPDATE messages SET message = '{"id": ' WHERE conversation_id = '${c.id}' AND id = '2'`);
  expect(conversations.search('BOUNDED')).toEqual([b.id, a.id]);
  expect(conversations.search('100%_q')).toEqual([a.id]);
  expect(conversations.search('complete')).toEqual([]);
});

it('deletes a conversation with its messages, and then knows it no more', () => {
  const { conversations, database } = opened();
  const { id } = conversations.create('a');
  conversations.putMessage(id, message('1'));
  conversations.delete(id);
  expect(conversations.list()).toEqual([]);
  expect(database.prepare('SELECT count(*) AS n FROM messages').get()).toEqual({ n: 0 });
  expect(() => conversations.putMessage(id, message('2'))).toThrow(isMissing);
  expect(() => conversations.rename(id, 'b')).toThrow(isMissing);
  expect(() => conversations.delete(id)).toThrow(isMissing);
  expect(conversations.messages(id)).toEqual([]);
});

it('renames', () => {
  const { conversations } = opened();
  const { id } = conversations.create('a');
  conversations.rename(id, 'b');
  expect(conversations.list()[0]?.title).toBe('b');
});

it('leaves out a message that it cannot understand, and shows the others', () => {
  const { conversations, database } = opened();
  const { id } = conversations.create('a');
  for (const name of ['1', '2', '3']) conversations.putMessage(id, message(name));
  database.exec(`UPDATE messages SET message = '{"id": "1", "role": "robot"}' WHERE id = '1'`);
  database.exec(`UPDATE messages SET message = '{"id": ' WHERE id = '2'`);
  expect(ids(conversations.messages(id))).toEqual(['3']);
});
