import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createFakeApi, type FakeApi } from '../../testing/fake-api.ts';
import { FakeTexts } from '../../testing/fake-texts.ts';
import { Backups } from './backups.ts';
import { BuffersStore } from './buffers-store.ts';

let fake: FakeApi;
let texts: FakeTexts;
let buffers: BuffersStore;
let backups: Backups;
let errors: string[];

beforeEach(async () => {
  vi.useFakeTimers();
  fake = createFakeApi({ 'a.txt': 'a' });
  texts = new FakeTexts();
  errors = [];
  buffers = new BuffersStore({ workspace: fake.api.workspace, texts, newId: () => 'id1', onMerged: () => {} });
  backups = new Backups(fake.api.app.backups, buffers, texts, ({ message }) => errors.push(message));
  await buffers.open('a.txt');
});

afterEach(() => {
  vi.useRealTimers();
});

describe('Backups', () => {
  it('stores unsaved text half a second after the last key', async () => {
    texts.edit('id1', 'ab');
    await vi.advanceTimersByTimeAsync(400);
    texts.edit('id1', 'abc');
    await vi.advanceTimersByTimeAsync(400);
    expect(fake.stored.backups.size).toBe(0);
    await vi.advanceTimersByTimeAsync(100);
    expect(fake.stored.backups.get('id1')).toMatchObject({ path: 'a.txt', text: 'abc', version: '1' });
  });

  it('deletes the copy when the text is saved', async () => {
    texts.edit('id1', 'abc');
    await backups.flush();
    await buffers.save('id1');
    await backups.flush();
    expect(fake.stored.backups.size).toBe(0);
  });

  it('deletes the copy when the user drops the text', async () => {
    texts.edit('id1', 'abc');
    await backups.flush();
    buffers.discard('id1');
    await backups.flush();
    expect(fake.stored.backups.size).toBe(0);
  });

  it('stores at once when the window closes', async () => {
    texts.edit('id1', 'abc');
    await backups.flush();
    expect(fake.stored.backups.get('id1')?.text).toBe('abc');
  });

  it('leaves the copies when the folder is closed', async () => {
    texts.edit('id1', 'abc');
    await backups.flush();
    backups.release();
    buffers.discardAll();
    await backups.flush();
    expect(fake.stored.backups.size).toBe(1);
  });

  it('says once that copies cannot be stored', async () => {
    fake.api.app.backups.put = async () => {
      throw new Error('no space');
    };
    for (const text of ['x', 'xy', 'xyz']) {
      texts.edit('id1', text);
      await backups.flush();
    }
    expect(errors).toHaveLength(1);
  });
});
