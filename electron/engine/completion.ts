// One inline completion: prompt, limits, and what ends the text.
import type { CompleteRequest, CompleteResult } from '../common/engine-contract.ts';
import { blockEnd } from './block-end.ts';
import type { FimFormat } from './completion-formats.ts';
import { completionPrompt, type Gap, gapOf, otherGap } from './completion-prompt.ts';
import { defined, generateText } from './generation.ts';
import type { NativeEngine, NativeModel } from './native.d.ts';

export interface CompletionModel {
  model: NativeModel;
  engine: NativeEngine;
  fim: FimFormat | null;
  nCtx: number;
}

/** Tokens of the text behind that the engine may compare candidates by. */
const nBehind = 24;
const ends = { line: ['\n'], block: ['\n\n'] };

/** @throws what the engine says, as an error of the contract */
export async function complete(
  completion: CompletionModel,
  request: CompleteRequest,
  signal: AbortSignal | undefined,
): Promise<CompleteResult> {
  const { fim } = completion;
  const gap = gapOf(fim, request);
  const result = await fill(completion, request, gap, signal);
  const other = request.isWarmUp ? otherGap(fim, gap, request) : null;
  if (other !== null) await fill(completion, request, other, signal);
  const { logProbs, ...stats } = result.stats;
  const end = request.mode === 'block' ? blockEnd(result.text, request, /*isWhole=*/ true) : null;
  const text = end === null ? result.text : result.text.slice(0, end);
  // What was cut off says nothing about the rest, which had about as many tokens as it has by itself.
  const nKept = end === null ? logProbs.length : completion.model.tokenize(text, { addBos: false }).length;
  return { ...result, text, stats, confidence: confidence(logProbs.subarray(0, nKept)), usedSuffix: fim !== null };
}

function fill(
  { model, engine, fim, nCtx }: CompletionModel,
  request: CompleteRequest,
  gap: Gap,
  signal: AbortSignal | undefined,
) {
  const { mode, maxTokens, isWarmUp, texts, deadlineMs } = request;
  const { beginWith, nCandidates, followedBy } = gap;
  // What stands before the cursor already is said again and is no part of the tokens asked for.
  const nBegin = model.tokenize(beginWith, { addBos: false }).length;
  const nPredict = isWarmUp ? 1 : Math.min(nBegin + maxTokens, Math.max(1, Math.floor(nCtx / 2)));
  return generateText(
    engine,
    {
      tokens: completionPrompt(model, fim, request, gap, nCtx - nPredict - (nCandidates > 1 ? nBehind : 0)),
      nPredict,
      temperature: 0,
      stop: ends[mode],
      ...(isWarmUp
        ? { priority: 'background' as const }
        : { priority: 'inline' as const, beginWith, logProbs: true, candidates: nCandidates, followedBy }),
      ...defined({ texts, deadlineMs }),
    },
    signal,
    (text) => mode === 'block' && blockEnd(text, request, /*isWhole=*/ false) !== null,
  );
}

/** The geometric mean of the tokens' probabilities, which does not depend on how many there are. */
function confidence(logProbs: Float32Array): number | null {
  if (logProbs.length === 0) return null;
  return Math.exp(logProbs.reduce((sum, logProb) => sum + logProb, 0) / logProbs.length);
}
