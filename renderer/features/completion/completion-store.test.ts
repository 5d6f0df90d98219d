import { beforeEach, describe, expect, it } from 'vitest';
import { FakeEngine } from '../../testing/fake-engine.ts';
import { type LoggedSuggestion, latency, logged } from './completion-log.ts';
import { CompletionStore } from './completion-store.ts';

let engine: FakeEngine;
let completion: CompletionStore;
let isOn: boolean;
let fillsGaps: boolean;
let now: number;

beforeEach(() => {
  engine = new FakeEngine();
  engine.stepMs = 0;
  isOn = true;
  now = 0;
  fillsGaps = false;
  completion = new CompletionStore({
    engine: engine.api,
    isOn: () => isOn,
    isModelReady: () => true,
    fillsGaps: () => fillsGaps,
    repository: () => 'orbit',
    filesFor: (path) => [{ path: `beside-${path}`, text: 'x' }],
    openTexts: () => ['open'],
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
/** What was begun ahead is done. */
const settled = () => new Promise((resolve) => setTimeout(resolve, 5));
const outcomes = () =>
  completion.store.getState().log.map(({ outcome, reason }) => (reason ? `${outcome}: ${reason}` : outcome));

describe('the log', () => {
  it('tells what was shown, and that typing along it needed no engine', async () => {
    engine.completion = 'a + b';
    expect(await suggest()).toBe('a + b');
    await settled();
    const nAsked = engine.completeRequests.length;
    expect(await suggest({ prefix: `${request.prefix}a ` })).toBe('+ b');
    expect(engine.completeRequests).toHaveLength(nAsked);
    expect(outcomes()).toEqual(['shown', 'cached']);
    expect(completion.store.getState().log[0]).toMatchObject({ path: 'a.py', nChars: 5, paintMs: null });
    const [first] = completion.store.getState().log;
    expect(first).toMatchObject({ trigger: 'asked', nFiles: 1 });
    // Each span has its part of the whole: the clock of this test goes on by 5 with every look at it.
    for (const span of ['waitMs', 'contextMs', 'engineMs', 'filterMs'] as const)
      expect(first?.[span]).toBeGreaterThan(0);
    now += 10;
    completion.shown();
    expect(completion.store.getState().log[1]?.paintMs).toBeGreaterThanOrEqual(10);
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

describe('a request', () => {
  it('carries the other files, and the suffix without closers that came by themselves', async () => {
    await suggest({ prefix: 'foo', suffix: '\n}\n' });
    await suggest({ prefix: 'foo(', suffix: ')\n}\n' });
    expect(engine.completeRequests.at(-1)).toMatchObject({
      suffix: '\n}\n',
      repository: 'orbit',
      files: [{ path: 'beside-a.py', text: 'x' }],
    });
    await suggest({ prefix: 'fo', suffix: 'o\n}\n' });
    expect(engine.completeRequests.at(-1)?.suffix).toBe('o\n}\n');
  });

  it('is not shown while the model is not sure of it, unless the user asks', async () => {
    engine.completion = 'x + y';
    engine.confidence = 0.05;
    const place = { prefix: 'total = ', suffix: '\n' };
    expect(await suggest({ ...place, isExplicit: false })).toBeNull();
    expect(completion.store.getState().status).toEqual({ state: 'none', reason: 'low-confidence' });
    expect(await suggest({ ...place, isExplicit: true })).toBe('x + y');
  });

  it('is made inside of a line only for a model that sees both sides', async () => {
    const inside = { isExplicit: false, prefix: 'call(', suffix: ' + b)\n' };
    expect(await suggest(inside)).toBeNull();
    expect(completion.store.getState().status).toEqual({ state: 'none', reason: 'middle' });
    fillsGaps = true;
    engine.completion = 'a';
    expect(await suggest(inside)).toBe('a');
    expect(await suggest({ ...inside, prefix: 'call(lef', suffix: 't + b)\n' })).toBeNull();
  });
});

describe('what comes after', () => {
  it('is made ahead while a suggestion is on the screen, and there when it is accepted', async () => {
    engine.completion = 'first';
    expect(await suggest()).toBe('first');
    engine.completion = 'second';
    await settled();
    const nAsked = engine.completeRequests.length;
    expect(engine.completeRequests.at(-1)?.prefix).toBe(`${request.prefix}first`);
    completion.accepted();
    expect(await suggest({ prefix: `${request.prefix}first` })).not.toBeNull();
    expect(outcomes()).toEqual(['shown', 'cached']);
    expect(engine.completeRequests.length).toBeLessThanOrEqual(nAsked + 1); // the one after it
  });

  it('waits for what is on its way instead of asking twice', async () => {
    engine.completion = 'first';
    await suggest();
    engine.stepMs = 20;
    const nAsked = engine.completeRequests.length;
    expect(await suggest({ prefix: `${request.prefix}first` })).toBe('first');
    expect(engine.completeRequests.filter(({ prefix }) => prefix === `${request.prefix}first`)).toHaveLength(1);
    expect(nAsked).toBe(2);
  });

  it('gives way to another key', async () => {
    engine.stepMs = 30;
    engine.completion = 'first';
    await suggest();
    engine.completion = 'other';
    expect(await suggest({ prefix: `${request.prefix}x` })).toBe('other');
    expect(outcomes()).toEqual(['shown', 'shown']);
  });
});

it('does not bring back what was dismissed, and waits longer then', async () => {
  engine.completion = 'no';
  await suggest();
  completion.rejected();
  const before = engine.completeRequests.length;
  const again = suggest({ isExplicit: false });
  await settled();
  expect(completion.store.getState().status).toMatchObject({ state: 'waiting' });
  await again;
  expect(engine.completeRequests.length).toBeGreaterThan(before);
});

it('goes on saying that a change at another place is proposed when another model takes over', () => {
  completion.otherProposal(true);
  completion.reset();
  expect(completion.store.getState().status).toEqual({ state: 'nextEdit' });
  completion.otherProposal(false);
  completion.reset();
  expect(completion.store.getState().status).toEqual({ state: 'idle' });
});

it('drops what the user just took back', async () => {
  engine.completion = 'total(b)';
  await suggest({ prefix: 'x = total(b' });
  expect(await suggest({ prefix: 'x = ' })).toBeNull();
  expect(completion.store.getState().status).toEqual({ state: 'none', reason: 'reverses' });
});

it('warms up with the same prompt, and stops for a key', async () => {
  engine.stepMs = 50;
  const { isExplicit: _, ...place } = request;
  const warming = completion.warmUp(place);
  // The texts that may be quoted come with what nobody waits for.
  expect(engine.completeRequests.at(-1)).toMatchObject({ isWarmUp: true, prefix: request.prefix, texts: ['open'] });
  engine.completion = 'a';
  await suggest();
  await warming;
  expect(engine.completeRequests[1]).toMatchObject({ isWarmUp: false, deadlineMs: 10_000 });
  expect(engine.completeRequests[1]?.texts).toBeUndefined();
});

it('gives the times that half and nine of ten do not exceed', () => {
  let log: LoggedSuggestion[] = [];
  const spans = { waitMs: 0, contextMs: 0, engineMs: 0, filterMs: 0, paintMs: null, atMs: 0 };
  const entry = { path: '', trigger: 'typed' as const, nFiles: 0, reason: null, stats: null, nChars: 1, ...spans };
  for (const totalMs of [100, 20, 30, 40, 50, 60, 70, 80, 90, 10])
    log = logged(log, { ...entry, outcome: 'shown', totalMs });
  log = logged(log, { ...entry, outcome: 'cached', totalMs: 0 });
  expect(latency(log)).toEqual({ p50: 50, p90: 90, n: 10 });
  expect(latency([])).toBeNull();
  for (let i = 0; i < 500; i++) log = logged(log, { ...entry, outcome: 'shown', totalMs: 1 });
  expect(log).toHaveLength(200);
  expect(new Set(log.map(({ id }) => id)).size).toBe(200);
});
