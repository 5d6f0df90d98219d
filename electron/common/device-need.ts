// What layers of a model take in the memory of a GPU, from the head of its file alone. Pure, as model-facts.ts; the engine
// plans by the same figures (native/model/device_layers.cpp).
import { kvPageSize, type LayerBytes, type ModelFacts, mtpKvBytes, nContexts } from './model-facts.ts';

/** On a GPU the app keeps keys and values in 16 bits, and so does whoever shares a model with it (docs/gpu.md). */
export const gpuKvBits = 16;
/** Tokens in one pass: with all layers on GPUs those that suit them, otherwise those that suit the processor. */
const nPassOfGpu = 2048;
const nPassOfBoth = 64;
/** Kept free on a GPU for what is not counted one by one: codes of activations, inputs and recorded passes. */
export const gpuHeadroomBytes = 256 * 2 ** 20;
/** Tokens of a pass whose attention is split by pages, and the most that splits leave before they are merged. */
const nSplitTokens = 16;
const mostSplitBytes = 512 * 2 ** 20;
/** Rows of an image past the last expert's. */
const nExpertRowsBeyond = 128 + 256;

/** The layers from `first` to before `end`. */
export interface LayerRange {
  first: number;
  end: number;
}

export interface GpuNeed {
  weights: number;
  /** Of the weights. */
  experts: number;
  kv: number;
  workspace: number;
}

export const totalNeed = ({ weights, kv, workspace }: GpuNeed) => weights + kv + workspace;

/**
 * Of layers and what belongs to them: the first have the embeddings, the last the output.
 * @returns a function whose time does not depend on how many layers a range has. Its `hasProcessor` says whether the
 *   processor computes other layers
 */
export function needOnGpu(facts: ModelFacts, nCtx: number): (range: LayerRange, hasProcessor: boolean) => GpuNeed {
  const { layers, head, isTied, tableGpuBytes, mtpHead } = facts;
  const [gpuBefore, expertsBefore] = [sumsBefore(layers, 'gpu'), sumsBefore(layers, 'experts')];
  const between = (sums: number[], { first, end }: LayerRange) => (sums[end] ?? 0) - (sums[first] ?? 0);
  const nPages = Math.ceil((nContexts * nCtx) / kvPageSize);
  const kvOfLayer = (nPages * kvPageSize * facts.kvElementsPerToken * gpuKvBits) / 8 / Math.max(1, layers.length);
  const workspaces = [nPassOfGpu, nPassOfBoth].map((nPass) => workspaceBytes(facts, nPages, nPass));
  return (range, hasProcessor) => {
    const [hasFirst, hasLast] = [range.first === 0, range.end === layers.length];
    const whole = (isTied ? 0 : tableGpuBytes) + (mtpHead?.gpu ?? 0);
    const table = hasFirst ? (hasLast ? whole : tableGpuBytes) : 0;
    return {
      weights: between(gpuBefore, range) + (hasLast ? head.gpu : 0) + table,
      experts: between(expertsBefore, range),
      kv: (range.end - range.first) * kvOfLayer + (hasFirst && hasLast ? mtpKvBytes(facts, nCtx) : 0),
      workspace: workspaces[hasProcessor ? 1 : 0] ?? 0,
    };
  };
}

/** Of experts of some layers, those of one token: as many have room in any case. */
export function expertsOfToken({ experts }: ModelFacts, bytes: number): number {
  return experts && experts.n > 0 ? Math.ceil((bytes * experts.nUsed) / experts.n) : bytes;
}

function sumsBefore(layers: readonly LayerBytes[], kind: 'gpu' | 'experts'): number[] {
  const sums = [0];
  for (const [il, layer] of layers.entries()) sums.push((sums[il] ?? 0) + layer[kind]);
  return sums;
}

function workspaceBytes(facts: ModelFacts, nPages: number, nPass: number): number {
  const { nEmbd, nFf, nVocab, nHead, headDimV, latentElements, experts } = facts;
  // f32 activations; those of latent attention twice, as room is made in doubling steps.
  let perToken = 4 * (8 * nEmbd + 2 * nFf) + 2 * 4 * nHead * latentElements;
  let once = 4 * 2 * nVocab + gpuHeadroomBytes;
  const splitBytes = Math.floor(nPages / nContexts) * nSplitTokens * 4 * nHead * headDimV;
  once += (Math.min(mostSplitBytes, splitBytes) * 3) / 2;
  if (experts) {
    // Of each expert that a token uses: gate, up and result; and the wider as f16, of which a pass has rows besides.
    const nWidest = Math.max(nEmbd, experts.nFf);
    perToken += experts.nUsed * (4 * (2 * experts.nFf + nEmbd) + 2 * nWidest);
    once += 2 * nWidest * (8 * experts.n + nExpertRowsBeyond);
  }
  return perToken * nPass + once;
}
