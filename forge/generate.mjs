// Greedy replies of our engine through its Node addon, from token ids: prompts for filling in hold control tokens.
import { createRequire } from 'node:module';

/** @typedef {import('../electron/engine/native.d.ts').NativeModel} NativeModel */
/** @typedef {import('../electron/engine/native.d.ts').NativeEngine} NativeEngine */

/** Ids of a vocabulary of train-tokenizer (native/tokenizer/trainer/vocabulary_file.cpp). */
export const fim = { bos: 0, prefix: 3, suffix: 4, middle: 5 };

/** @typedef {{ text: string, nTokens: number, ms: number }} Reply */

/** @param {{ addon: string, model: string, nCtx?: number, nThreads?: number }} options */
export async function openModel({ addon, model: path, nCtx = 4096, nThreads = 0 }) {
  /** @type {import('../electron/engine/native.d.ts').NativeAddon} */
  const { loadModel } = createRequire(import.meta.url)(addon);
  const model = await loadModel(path, { nThreads }).promise;
  const engine = model.createEngine({ nCtx: Math.min(nCtx, model.info.nCtxTrain) });
  const ids = (/** @type {string} */ text) => [...model.tokenize(text, { addBos: false })];
  return {
    info: model.info,
    tokenize: ids,
    dispose: () => engine.dispose(),

    /**
     * What stands between `prefix` and `suffix`. The suffix goes first: while somebody types, all of the prompt but its end
     * stays, and with it the KV cache.
     * @param {string} prefix @param {string} suffix @param {number} nPredict
     */
    infill: (prefix, suffix, nPredict) => {
      // The ends that are near the cursor stay.
      const most = Math.floor((model.info.nCtxTrain - nPredict - 4) / 2);
      const before = ids(prefix).slice(-most);
      const after = ids(suffix).slice(0, most);
      return reply(engine, [fim.bos, fim.suffix, ...after, fim.prefix, ...before, fim.middle], { nPredict });
    },

    /** What follows `prefix`. @param {string} prefix @param {number} nPredict @param {string[]} [stop] */
    complete: (prefix, nPredict, stop = []) => {
      const [first, ...rest] = model.tokenize(prefix);
      const most = Math.min(nCtx, model.info.nCtxTrain) - nPredict - 2;
      return reply(engine, [first ?? fim.bos, ...rest.slice(-most)], { nPredict, stop });
    },
  };
}

/**
 * @param {NativeEngine} engine
 * @param {number[]} tokens
 * @param {{ nPredict: number, stop?: string[] }} options
 * @returns {Promise<Reply>}
 */
function reply(engine, tokens, { nPredict, stop = [] }) {
  return new Promise((resolve, reject) => {
    const start = performance.now();
    let text = '';
    engine.submit(
      { tokens: Int32Array.from(tokens), nPredict, temperature: 0, stop },
      {
        onText: (part) => {
          text += part;
        },
        onDone: (reason, stats, error) => {
          if (reason === 'error') reject(error);
          else resolve({ text, nTokens: stats.nDecoded, ms: performance.now() - start });
        },
      },
    );
  });
}
