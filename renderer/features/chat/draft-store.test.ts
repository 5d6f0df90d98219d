import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { attach } from './attachments.ts';
import { DraftStore } from './draft-store.ts';

const countTokens = vi.fn(async ({ messages }: { messages: { content: string }[] }) => ({
  nTokens: messages.reduce((sum, { content }) => sum + content.length, 0),
  nCtx: 100,
}));

let draft: DraftStore;

beforeEach(() => {
  vi.useFakeTimers();
  countTokens.mockClear();
  draft = new DraftStore({
    engine: { countTokens: countTokens as never },
    messages: () => [{ role: 'system', content: '12345' }],
  });
});
afterEach(() => {
  vi.useRealTimers();
});

const context = () => draft.store.getState().context?.nTokens ?? null;

it('counts the conversation with what is written and attached, once per pause', async () => {
  draft.typed('a');
  draft.typed('abc');
  await vi.advanceTimersByTimeAsync(1000);
  expect(countTokens).toHaveBeenCalledOnce();
  expect(context()).toBe(8);
  draft.attach(attach('file', 'a', 'xy'));
  await vi.advanceTimersByTimeAsync(1000);
  expect(context()).toBe(5 + 'File a:\n```\nxy\n```\n\nabc'.length);
});

it('gives the attachments away with the question', async () => {
  const one = attach('file', 'a', '1');
  draft.attach(one);
  draft.attach(attach('file', 'a', '2'));
  draft.attach(attach('selection', 'a', '3'));
  expect(draft.take().map(({ text }) => text)).toEqual(['2', '3']);
  expect(draft.store.getState().attachments).toEqual([]);
  await vi.advanceTimersByTimeAsync(1000);
  expect(context()).toBeNull();
});

it('takes an attachment off', () => {
  const one = attach('file', 'a', '1');
  draft.attach(one);
  draft.detach(one);
  expect(draft.store.getState().attachments).toEqual([]);
});
