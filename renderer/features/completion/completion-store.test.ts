import { beforeEach, describe, expect, it } from 'vitest';
import { FakeEngine } from '../../testing/fake-engine.ts';
import { type LoggedSuggestion, latency, logged } from './completion-log.ts';
import { CompletionStore } from './completion-store.ts';

let engine: FakeEngine;
let completion: CompletionStore;
let isOn: boolean;

beforeEach(() => {
  engine = new FakeEngine();
  engine.stepMs = 0;
  isOn = true;
  let now = 0;
  completion = new CompletionStore({
    engine: engine.api,
    isOn: () => isOn,
    isModelReady: () => true,
    pathOf: () => 'a.py',
    nowMs: () => (now += 5),
  });
});

const request = {
  bufferId: 'b',
  languageId: 'python',
  prefix: 'def add(a, b):\n    return ',
  suffix: '\n',
  isExplicit: true,
};
const suggest = (change: Partial<typeof request> = {}, signal = new AbortController().signal) =>
  completion.suggest({ ...request, ...change }, signal);
const outcomes = () =>
  completion.store.getState().log.map(({ outcome, reason }) => (reason ? `${outcome}: ${reason}` : outcome));

describe('the log', () => {
  it('tells what was shown, and what typing along it needed: no engine', async () => {
    engine.completion = 'a + b';
    expect(await suggest()).toBe('a + b');
    expect(await suggest({ prefix: `${request.prefix}a ` })).toBe('+ b');
    expect(engine.completeRequests).toHaveLength(1);
    expect(outcomes()).toEqual(['shown', 'cached']);
    expect(completion.store.getState().log[0]).toMatchObject({ path: 'a.py', totalMs: 5, nChars: 5 });
  });

  it('tells why nothing was shown', async () => {
    engine.completion = '   ';
    expect(await suggest()).toBeNull();
    engine.completionError = new Error('broken');
    expect(await suggest()).toBeNull();
    expect(outcomes()).toEqual(['dropped: empty', 'failed: Something unexpected went wrong.']);
  });

  it('tells that the next key cancelled', async () => {
    const abort = new AbortController();
    engine.stepMs = 5;
    const running = suggest({}, abort.signal);
    abort.abort();
    await expect(running).rejects.toThrow();
    expect(outcomes()).toEqual(['cancelled']);
  });

  it('stays empty while nothing is asked', async () => {
    isOn = false;
    expect(await suggest({ isExplicit: false })).toBeNull();
    expect(outcomes()).toEqual([]);
  });
});

it('gives the times that half and nine of ten do not exceed', () => {
  let log: LoggedSuggestion[] = [];
  const entry = { path: '', reason: null, stats: null, nChars: 1 };
  for (const totalMs of [100, 20, 30, 40, 50, 60, 70, 80, 90, 10])
    log = logged(log, { ...entry, outcome: 'shown', totalMs });
  log = logged(log, { ...entry, outcome: 'cached', totalMs: 0 });
  expect(latency(log)).toEqual({ p50: 50, p90: 90, n: 10 });
  expect(latency([])).toBeNull();
  for (let i = 0; i < 500; i++) log = logged(log, { ...entry, outcome: 'shown', totalMs: 1 });
  expect(log).toHaveLength(200);
  expect(new Set(log.map(({ id }) => id)).size).toBe(200);
});
