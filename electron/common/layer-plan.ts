// Which GPUs compute which layers of a model, as the engine is going to choose (native/model/layer_plan.cpp): known before
// anything is loaded. Pure.
import { expertsOfToken, type GpuNeed, type LayerRange, needOnGpu, totalNeed } from './device-need.ts';
import type { FitQuestion, ModelFacts } from './model-facts.ts';
import type { Device } from './role-contract.ts';

/** Of a GPU, what a plan asks for. */
export type GpuRoom = Pick<Device, 'id' | 'freeBytes' | 'sharesMemory'>;

export interface LayerPlan {
  /** Of the last layers, how many each GPU computes, in the order of the layers; the processor computes those before. */
  nLayers: readonly number[];
  /** Not all experts have room: the others wait in the main memory, which has all of them then. */
  hasSlots: boolean;
}

/** What layers take on a GPU. */
type Takes = (range: LayerRange, hasProcessor: boolean) => number;

/**
 * @param gpus in the order in which they compute layers
 * @param wanted of a single GPU, the layers that it is to have, whatever room there is; undefined: as many as fit
 * @returns null if they have no room for a layer each
 */
export function planLayers(
  facts: ModelFacts,
  question: FitQuestion,
  gpus: readonly GpuRoom[],
  wanted?: number,
): LayerPlan | null {
  const need = needOnGpu(facts, question.nCtx);
  const nLayer = facts.layers.length;
  const takesWith =
    (experts: (need: GpuNeed) => number): Takes =>
    (range, hasProcessor) => {
      const needed = need(range, hasProcessor);
      const isWhole = range.end - range.first === nLayer;
      return totalNeed(needed) - needed.experts + experts(needed) + (isWhole ? question.draftBytes : 0);
    };
  const whole = takesWith(({ experts }) => experts);
  // Where the memory is one, experts that have no room on the GPU would have none beside it.
  const canHaveSlots = facts.experts !== null && gpus.every(({ sharesMemory }) => !sharesMemory);
  if (wanted !== undefined) {
    const n = Math.min(wanted, nLayer);
    const isFitting = whole({ first: nLayer - n, end: nLayer }, n < nLayer) <= (gpus[0]?.freeBytes ?? 0);
    return { nLayers: [n], hasSlots: canHaveSlots && !isFitting };
  }
  const fitting = (takes: Takes) => balanced(nLayer, gpus, takes) ?? filled(nLayer, gpus, takes);
  const nLayers = fitting(whole);
  if (nLayers !== null) return { nLayers, hasSlots: false };
  const least = canHaveSlots ? fitting(takesWith(({ experts }) => expertsOfToken(facts, experts))) : null;
  return least && { nLayers: least, hasSlots: true };
}

/** All layers, so that GPUs become as equally full as whole layers allow: the sum of need² / free is least there. */
function balanced(nLayer: number, gpus: readonly GpuRoom[], takes: Takes): number[] | null {
  /** Ways to share the layers before an end among the GPUs so far, the best for each end. */
  let ways = new Map<number, { cost: number; nLayers: number[] }>([[0, { cost: 0, nLayers: [] }]]);
  for (const [i, { freeBytes }] of gpus.entries()) {
    const next: typeof ways = new Map();
    const nAfter = gpus.length - 1 - i;
    for (const [first, { cost, nLayers }] of ways) {
      for (let end = nAfter === 0 ? nLayer : first + 1; end <= nLayer - nAfter; end += 1) {
        const bytes = takes({ first, end }, false);
        if (end === first || bytes > freeBytes) continue;
        const sum = cost + bytes ** 2 / Math.max(1, freeBytes);
        if (sum < (next.get(end)?.cost ?? Number.POSITIVE_INFINITY))
          next.set(end, { cost: sum, nLayers: [...nLayers, end - first] });
      }
    }
    ways = next;
  }
  return ways.get(nLayer)?.nLayers ?? null;
}

/** Beside the processor: as many as there is room for on each, from the last one on. One is left for each that comes before. */
function filled(nLayer: number, gpus: readonly GpuRoom[], takes: Takes): number[] | null {
  const nLayers: number[] = [];
  let end = nLayer;
  for (const [i, { freeBytes }] of [...gpus.entries()].reverse()) {
    let n = end - i - 1;
    while (n > 0 && takes({ first: end - n, end }, true) > freeBytes) n -= 1;
    if (n <= 0) return null;
    nLayers.unshift(n);
    end -= n;
  }
  return nLayers;
}
