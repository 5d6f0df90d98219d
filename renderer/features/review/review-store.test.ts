import { beforeEach, expect, it, vi } from 'vitest';
import { type ReviewedFiles, ReviewStore } from './review-store.ts';

const base = 'one\ntwo\nthree\nfour\n';
const proposed = 'ONE\ntwo\nthree\nFOUR\nfive\n';

let text: string;
let disk: string;
let isDirty: boolean;
let edits: string[];
let reviews: ReviewStore;
const onNote = vi.fn();
const onError = vi.fn();

beforeEach(() => {
  vi.clearAllMocks();
  [text, disk, isDirty, edits] = [base, base, false, []];
  const files: ReviewedFiles = {
    text: () => text,
    isDirty: () => isDirty,
    title: () => 'a.txt',
    edit: (_id, next) => {
      edits.push(next);
      text = next;
    },
    save: async () => {
      disk = text;
      return true;
    },
    readDisk: async () => disk,
  };
  reviews = new ReviewStore({ files, onNote, onError });
});

it('touches nothing until the last change is decided, then edits once and saves', async () => {
  expect(reviews.start('a', proposed)).toBe(true);
  await reviews.decide('a', 'current', 'accepted');
  expect(edits).toEqual([]);
  await reviews.decide('a', 'current', 'rejected');
  expect(edits).toEqual(['ONE\ntwo\nthree\nfour\n']);
  expect(disk).toBe('ONE\ntwo\nthree\nfour\n');
  expect(reviews.get('a')).toBeUndefined();
  expect(onNote.mock.lastCall?.[0]).toBe('1 of 2 changes applied to a.txt. Saved and compared with the disk.');
  onNote.mock.lastCall?.[1].run();
  await vi.waitFor(() => expect(disk).toBe(base));
});

it('starts nothing for a proposal that changes nothing', () => {
  expect(reviews.start('a', base)).toBe(false);
  expect(reviews.get('a')).toBeUndefined();
});

it('takes a decision back and goes to its change', async () => {
  reviews.start('a', proposed);
  await reviews.decide('a', 'current', 'rejected');
  expect(reviews.get('a')?.current).toBe(1);
  reviews.undo('a');
  expect(reviews.get('a')).toMatchObject({ current: 0, review: { decisions: ['pending', 'pending'] } });
  await reviews.decide('a', 'all', 'accepted');
  expect(text).toBe(proposed);
});

it('leaves the text alone when the review is cancelled or everything is rejected', async () => {
  reviews.start('a', proposed);
  await reviews.decide('a', 'current', 'accepted');
  reviews.cancel('a');
  reviews.start('a', proposed);
  await reviews.decide('a', 'all', 'rejected');
  expect(edits).toEqual([]);
  expect(onNote.mock.lastCall?.[0]).toBe('No change of a.txt was applied.');
});

it('applies nothing to a text that changed during the review', async () => {
  reviews.start('a', proposed);
  text = 'one\nother\n';
  await reviews.decide('a', 'all', 'accepted');
  expect(text).toBe('one\nother\n');
  expect(onError.mock.lastCall?.[0]).toMatchObject({ code: 'FILE_CHANGED_ON_DISK' });
});

it('says so when the disk does not hold what was saved', async () => {
  reviews = new ReviewStore({
    files: {
      text: () => text,
      isDirty: () => false,
      title: () => 'a.txt',
      edit: (_id, next) => {
        text = next;
      },
      save: async () => true,
      readDisk: async () => 'something else',
    },
    onNote,
    onError,
  });
  reviews.start('a', proposed);
  await reviews.decide('a', 'all', 'accepted');
  expect(onError.mock.lastCall?.[0].message).toContain('the disk holds another text');
  expect(onNote).not.toHaveBeenCalled();
});

it('does not save a file that had unsaved text before', async () => {
  isDirty = true;
  reviews.start('a', proposed);
  await reviews.decide('a', 'all', 'accepted');
  expect([text, disk]).toEqual([proposed, base]);
  expect(onNote.mock.lastCall?.[0]).toContain('Not saved');
});
