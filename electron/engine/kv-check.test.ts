import { describe, expect, it } from 'vitest';
import { type KvCheck, passes, smallestPassing } from '../common/kv-check.ts';
import { checkKv } from './kv-check.ts';
import type { NativeKvCheck, NativeKvDivergence, NativeModel } from './native.d.ts';
import { FakeAddon, type FakeEngine, nativeError, stats } from './testing/fake-addon.ts';

const result = (meanKld: number, perplexity = 6): NativeKvDivergence => ({
  nTokens: 500,
  meanKld,
  p99Kld: 10 * meanKld,
  flips: 0.05,
  perplexity,
  perplexityExact: 6,
  bitsLong: 3.15,
});

const checked = (klds: number[], calibration: NativeKvCheck['calibration'] = 'made'): NativeKvCheck => ({
  calibration,
  results: klds.map((kld) => result(kld)),
});

/** A model that reads `tokensPerMs`, and whose check is `check`. */
async function started({
  tokensPerMs,
  check,
  nowMs = 1000,
}: {
  tokensPerMs: number;
  check: NativeModel['checkKv'];
  nowMs?: number;
}) {
  const addon = new FakeAddon();
  addon.checkKv = check;
  const { promise } = addon.loadModel('/m.gguf');
  const engine: FakeEngine | undefined = addon.loads[0]?.succeed();
  if (!engine) throw new Error('no load');
  const model = await promise;
  const abort = new AbortController();
  const checking = checkKv({ model, engine }, nowMs, abort.signal);
  const speed = await engine.submitted();
  // The reply's own statistics carry the speed.
  const nPrompt = speed.request.tokens.length;
  speed.sink.onDone('length', { ...stats, nPrompt, nReused: 0, prefillMs: nPrompt / tokensPerMs });
  return { abort, checking, asked: [...speed.request.tokens] };
}

describe('the check of the KV cache', () => {
  it('takes the smallest preset that changes little', async () => {
    const seen: { nCalibration: number; nCtx: number; nTokens: number; presets: string[] }[] = [];
    const { checking } = await started({
      tokensPerMs: 0.06,
      check: (calibration, tokens, nCtx, presets) => {
        seen.push({ nCalibration: calibration.length, nCtx, nTokens: tokens.length, presets });
        return { promise: Promise.resolve(checked([0.05, 0.012, 0.002])), cancel: () => {} };
      },
    });
    const check = await checking;
    expect(check).toMatchObject({ atMs: 1000, chosen: 'compact', nTokens: 500, problem: null });
    expect(check.results.map(({ preset }) => preset)).toEqual(['max', 'compact', 'safe']);
    // 40 s at 60 tokens a second, for a calibration and four passes over a window.
    expect(seen).toEqual([{ nCalibration: 480, nCtx: 480, nTokens: 480, presets: ['max', 'compact', 'safe'] }]);
  });

  it('measures the speed on another text the next time: what was read is in the cache', async () => {
    const check = () => ({ promise: Promise.resolve(checked([0.05, 0.012, 0.002])), cancel: () => {} });
    const first = await started({ tokensPerMs: 0.06, check });
    const second = await started({ tokensPerMs: 0.06, check, nowMs: 1007 });
    expect(second.asked).toHaveLength(first.asked.length);
    expect(second.asked.slice(0, 4)).not.toEqual(first.asked.slice(0, 4));
    await Promise.all([first.checking, second.checking]);
  });

  it('leaves a model alone that reads too slowly, and says so', async () => {
    const { checking } = await started({
      tokensPerMs: 0.002,
      check: () => {
        throw new Error('not to be called');
      },
    });
    expect(await checking).toMatchObject({
      chosen: 'exact',
      results: [],
      problem: 'It reads too slowly to be checked in a minute.',
    });
  });

  it('says whether the calibration that came with the model was kept', async () => {
    for (const calibration of ['kept', 'made'] as const) {
      const { checking } = await started({
        tokensPerMs: 1,
        check: () => ({ promise: Promise.resolve(checked([0.05, 0.012, 0.002], calibration)), cancel: () => {} }),
      });
      expect(await checking).toMatchObject({ chosen: 'compact', calibration });
    }
  });

  it('measures without a calibration where none can be written', async () => {
    const calibrations: number[] = [];
    const { checking } = await started({
      tokensPerMs: 1,
      check: (calibration) => {
        calibrations.push(calibration.length);
        const promise =
          calibration.length > 0
            ? Promise.reject(nativeError('file_unreadable'))
            : Promise.resolve(checked([0.5, 0.1, 0.001], 'none'));
        return { promise, cancel: () => {} };
      },
    });
    expect(await checking).toMatchObject({ chosen: 'safe', calibration: 'none', problem: null });
    expect(calibrations).toHaveLength(2);
    expect(calibrations[1]).toBe(0);
  });

  it('ends when it is cancelled', async () => {
    const { promise, reject } = Promise.withResolvers<NativeKvCheck>();
    const { checking, abort } = await started({
      tokensPerMs: 1,
      check: () => {
        queueMicrotask(() => abort.abort());
        return { promise, cancel: () => reject(nativeError('cancelled')) };
      },
    });
    await expect(checking).rejects.toMatchObject({ name: 'AbortError' });
  });

  it('keeps f16 where the device has nothing else, with the reason', async () => {
    const { checking } = await started({
      tokensPerMs: 1,
      check: () => ({ promise: Promise.reject(nativeError('model_unsupported', 'f16 only')), cancel: () => {} }),
    });
    expect(await checking).toMatchObject({ chosen: 'exact', problem: 'f16 only' });
  });
});

describe('a preset', () => {
  const of = (meanKld: number, perplexityRatio: number, bits = 3): KvCheck['results'][number] => ({
    preset: 'compact',
    meanKld,
    flips: 0,
    perplexityRatio,
    bits,
  });
  it('passes by its divergence and its perplexity both', () => {
    expect(passes(of(0.02, 1.02))).toBe(true);
    expect(passes(of(0.021, 1))).toBe(false);
    expect(passes(of(0.001, 1.03))).toBe(false);
    expect(passes(of(Number.NaN, 1))).toBe(false);
  });
  it('is not chosen where none passes', () => {
    expect(smallestPassing([of(1, 1)])).toBe('exact');
    expect(smallestPassing([])).toBe('exact');
  });
});
