// One inline completion: prompt, limits, and what ends the text.
import type { CompleteRequest, CompleteResult } from '../common/engine-contract.ts';
import type { FimFormat } from './completion-formats.ts';
import { completionPrompt, splitPrefix } from './completion-prompt.ts';
import { defined, generateText } from './generation.ts';
import type { NativeEngine, NativeModel } from './native.d.ts';

export interface CompletionModel {
  model: NativeModel;
  engine: NativeEngine;
  fim: FimFormat | null;
  nCtx: number;
}

const ends = { line: ['\n'], block: ['\n\n'] };

/** @throws what the engine says, as an error of the contract */
export async function complete(
  { model, engine, fim, nCtx }: CompletionModel,
  request: CompleteRequest,
  signal: AbortSignal | undefined,
): Promise<CompleteResult> {
  const { mode, maxTokens, isWarmUp, prefix, texts, deadlineMs } = request;
  // What stands before the cursor already is said again and is no part of the tokens asked for.
  const nBegin = model.tokenize(splitPrefix(prefix).beginWith, { addBos: false }).length;
  const nPredict = isWarmUp ? 1 : Math.min(nBegin + maxTokens, Math.max(1, Math.floor(nCtx / 2)));
  const { tokens, beginWith, usesSuffix } = completionPrompt(model, fim, request, nCtx - nPredict);
  const result = await generateText(
    engine,
    {
      tokens,
      beginWith: isWarmUp ? '' : beginWith,
      nPredict,
      temperature: 0,
      stop: ends[mode],
      priority: isWarmUp ? 'background' : 'inline',
      logProbs: !isWarmUp,
      ...defined({ texts, deadlineMs }),
    },
    signal,
  );
  const { logProbs, ...stats } = result.stats;
  return { ...result, stats, confidence: confidence(logProbs), usedSuffix: usesSuffix };
}

/** The geometric mean of the tokens' probabilities, which does not depend on how many there are. */
function confidence(logProbs: Float32Array): number | null {
  if (logProbs.length === 0) return null;
  return Math.exp(logProbs.reduce((sum, logProb) => sum + logProb, 0) / logProbs.length);
}
