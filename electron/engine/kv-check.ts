// How few bits a model's keys and values may have: found out when it is new, on a short text, in less than a minute.
import { type KvCheck, kvPresetsRevision, smallestPassing } from '../common/kv-check.ts';
import type { KvPresetId } from '../common/model-facts.ts';
import { generateText } from './generation.ts';
import { calibrationText, measuredText } from './kv-check-text.ts';
import type { Loaded } from './loaded-model.ts';
import type { NativeError, NativeModel } from './native.d.ts';

const presets = ['max', 'compact', 'safe'] as const satisfies readonly KvPresetId[];
/** What is left of a minute for a guess at the model's speed that was too good. */
const plannedMs = 40_000;
const mostMs = 57_000;
/** Of tokens. In a shorter one most of what is compared is still in 8 bits, whatever the preset. */
const leastWindow = 320;
const mostWindow = 1024;
/** Tokens that tell how fast the model reads. */
const nSpeed = 96;

export async function checkKv(
  { model, engine }: Pick<Loaded, 'model' | 'engine'>,
  nowMs: number,
  signal?: AbortSignal,
): Promise<KvCheck> {
  const calibration = model.tokenize(calibrationText);
  const measured = model.tokenize(measuredText);
  const about = { revision: kvPresetsRevision, atMs: nowMs } as const;
  const unchecked = (problem: string): KvCheck => ({ ...about, chosen: 'exact', nTokens: 0, results: [], problem });

  // From another place each time: what an earlier check has read is in the cache, and nothing to tell a speed from.
  const start = nowMs % Math.max(1, measured.length - nSpeed);
  const tokensPerMs = await readingSpeed({ engine }, measured.slice(start, start + nSpeed), signal);
  // Where none fits the model the calibration reads a window; then one is read in f16 and once with each preset.
  const nPlanned = Math.floor((plannedMs * tokensPerMs) / (presets.length + 2));
  const nCtx = Math.min(nPlanned, mostWindow, model.info.nCtxTrain, calibration.length, measured.length);
  if (nCtx < leastWindow) {
    return unchecked(
      nPlanned < leastWindow ? 'It reads too slowly to be checked in a minute.' : 'Its context is too short to matter.',
    );
  }
  const window = measured.slice(0, nCtx);
  try {
    const found = await measure(model, calibration.slice(0, nCtx), window, signal);
    const results = presets.flatMap((preset, i) => {
      const of = found.results[i];
      // A model that computes no numbers diverges by none.
      if (!of || !Number.isFinite(of.meanKld)) return [];
      const { meanKld, flips, perplexity, perplexityExact, bitsLong } = of;
      return [{ preset, meanKld, flips, perplexityRatio: perplexity / perplexityExact, bits: bitsLong }];
    });
    if (results.length < presets.length) return unchecked('What it computes are no numbers.');
    const nTokens = found.results[0]?.nTokens ?? 0;
    const { calibration: source } = found;
    return { ...about, chosen: smallestPassing(results), nTokens, results, calibration: source, problem: null };
  } catch (error) {
    signal?.throwIfAborted();
    const { code, message } = error as NativeError;
    if (code === 'cancelled') return unchecked('The check took more than a minute and was ended.');
    return unchecked(message);
  }
}

async function readingSpeed(
  { engine }: Pick<Loaded, 'engine'>,
  tokens: Int32Array,
  signal: AbortSignal | undefined,
): Promise<number> {
  const request = { tokens, nPredict: 1, temperature: 0, priority: 'background' as const };
  const { stats } = await generateText(engine, request, signal);
  return Math.max(1, stats.nPrompt - stats.nReused) / Math.max(0.1, stats.prefillMs);
}

/** Ends with the signal, or after a minute, with the code "cancelled". */
async function measure(
  model: NativeModel,
  calibration: Int32Array,
  window: Int32Array,
  signal: AbortSignal | undefined,
) {
  const startMs = performance.now();
  const run = async (calibratedOn: Int32Array) => {
    const { promise, cancel } = model.checkKv(calibratedOn, window, window.length, [...presets]);
    const timer = setTimeout(cancel, Math.max(0, mostMs - (performance.now() - startMs)));
    signal?.addEventListener('abort', cancel, { once: true });
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', cancel);
    }
  };
  try {
    return await run(calibration);
  } catch (error) {
    // A folder that cannot be written to takes no calibration: then the presets have to pass without one.
    if ((error as NativeError).code !== 'file_unreadable') throw error;
    return await run(new Int32Array());
  }
}
