// A model whose last layers GPUs compute, and the processor those before: what each of them needs, and what a token then
// takes. Pure, as model-facts.ts.
import { expertsOfToken, gpuKvBits, needOnGpu, totalNeed } from './device-need.ts';
import { type GpuRoom, type LayerPlan, planLayers } from './layer-plan.ts';
import {
  type DeviceSpeed,
  type FitQuestion,
  kvBytes,
  layerSeconds,
  type MachineSpeed,
  type MemorySplit,
  type ModelFacts,
  predictMemory,
  weightSeconds,
} from './model-facts.ts';
import { type Device, type DeviceBytes, mainMemory, pinnable } from './role-contract.ts';

/** A GPU that was never measured reads so much per second; a fast one ten times that. */
export const guessedGpuSpeed: DeviceSpeed = { bytesPerSecond: {}, other: 300e9, layer: null };
/**
 * Of the main memory that is free, experts in slots of a GPU may take so much: the system cannot take it back. The engine
 * refuses more (native/runtime/expert_budget.cpp), of each GPU beside what those before it have pinned.
 */
const mostPinnedShare = 7 / 8;

/** What a GPU is known by in `MachineSpeed.gpus`: another one in its place was not measured. */
export const gpuKey = ({ id, name }: Pick<Device, 'id' | 'name'>) => `${id} ${name}`;

export const speedOfGpu = ({ gpus }: MachineSpeed, gpu: Pick<Device, 'id' | 'name'>): DeviceSpeed =>
  gpus[gpuKey(gpu)] ?? guessedGpuSpeed;

export interface SharedMemory {
  /** The main memory, with what GPUs have that share it. */
  ram: MemorySplit;
  /** Of each GPU, in their order. */
  gpus: MemorySplit[];
  /** Of the weights in `ram`: all experts of GPUs that have slots for some of them. */
  pinnedBytes: number;
  /** What of the main memory has to be available for that. */
  pinnableBytes: number;
}

const sum = (numbers: readonly number[]) => numbers.reduce((total, n) => total + n, 0);

const splitOf = (parts: Omit<MemorySplit, 'total'>): MemorySplit => ({
  ...parts,
  total: parts.weights + parts.kv + parts.workspace + parts.draft,
});

/** A GPU with all layers has the draft model, too. */
export function predictSharedMemory(
  facts: ModelFacts,
  question: FitQuestion,
  gpus: readonly GpuRoom[],
  { nLayers, hasSlots }: LayerPlan,
): SharedMemory {
  const { layers, tableBytes } = facts;
  const need = needOnGpu(facts, question.nCtx);
  const border = layers.length - sum(nLayers);
  let [pinnedBytes, pinnableBytes] = [0, 0];
  let first = border;
  const onGpus = gpus.map(({ freeBytes }, i) => {
    const range = { first, end: first + (nLayers[i] ?? 0) };
    first = range.end;
    const needed = need(range, border > 0);
    const draft = range.end - range.first === layers.length ? question.draftBytes : 0;
    const total = totalNeed(needed) + draft;
    let { weights } = needed;
    if (hasSlots && total > freeBytes) {
      const others = total - needed.experts;
      weights += Math.max(expertsOfToken(facts, needed.experts), Math.floor(freeBytes - others)) - needed.experts;
      pinnableBytes = Math.max(pinnableBytes, pinnedBytes + needed.experts / mostPinnedShare);
      pinnedBytes += needed.experts;
    }
    return splitOf({ weights, kv: needed.kv, workspace: needed.workspace, draft });
  });
  const { workspace, draft } = predictMemory(facts, question);
  const own = splitOf({
    weights: (border > 0 ? sum(layers.slice(0, border).map(({ packed }) => packed)) + tableBytes : 0) + pinnedBytes,
    kv: (kvBytes(facts, question.nCtx, gpuKvBits) * border) / Math.max(1, layers.length),
    workspace,
    draft: onGpus.some((split) => split.draft > 0) ? 0 : draft,
  });
  const inRam = [own, ...onGpus.filter((_, i) => gpus[i]?.sharesMemory)];
  const all = (part: keyof MemorySplit) => sum(inRam.map((split) => split[part]));
  const ram = splitOf({ weights: all('weights'), kv: all('kv'), workspace: all('workspace'), draft: all('draft') });
  return { ram, gpus: onGpus, pinnedBytes, pinnableBytes };
}

/**
 * The ways in which a model can be loaded, the best first, by what each device then has of it. None if there is none, or
 * none that is known: the engine says why.
 * @param gpus with what they have free without other models
 * @param wanted as planLayers has it. A GPU that is to have as many layers as fit takes fewer where there is less room
 */
export function waysToLoad(
  facts: ModelFacts,
  question: FitQuestion,
  gpus: readonly GpuRoom[],
  wanted?: number,
): DeviceBytes[] {
  const best = planLayers(facts, question, gpus, wanted);
  if (best === null) return [];
  const bytesOf = (plan: LayerPlan, rooms = gpus): DeviceBytes => {
    const memory = predictSharedMemory(facts, question, rooms, plan);
    const onGpus = gpus.map(({ id }, i) => [id, memory.gpus[i]?.total ?? 0]);
    const toPin = memory.pinnableBytes > 0 ? { [pinnable]: memory.pinnableBytes } : {};
    return { ...Object.fromEntries(onGpus), [mainMemory]: memory.ram.total, ...toPin };
  };
  if (best.hasSlots) return [bytesOf(best), bytesOf(best, withoutRoom(gpus))];
  const [n = 0, ...others] = best.nLayers;
  if (wanted !== undefined || others.length > 0) return [bytesOf(best)];
  return Array.from({ length: n }, (_, i) => bytesOf({ nLayers: [n - i], hasSlots: false }));
}

/** With slots, a GPU without room has those of one token. */
const withoutRoom = (gpus: readonly GpuRoom[]) => gpus.map((gpu) => ({ ...gpu, freeBytes: 0 }));

/** Of one of the GPUs that compute layers: the last has the output. */
export interface GpuPart {
  speed: DeviceSpeed;
  nLayers: number;
}

/**
 * With slots, this is what it comes to when all experts that are asked for are in them.
 * @param parts in the order of the layers: each waits for the one before
 * @param nPast positions in the context
 */
export function predictSharedTokensPerSecond(
  facts: ModelFacts,
  speed: MachineSpeed,
  parts: readonly GpuPart[],
  nPast: number,
): number {
  const { layers, head } = facts;
  const bytesOf = (kind: 'gpu' | 'packed' | 'read') => sum(layers.map((layer) => layer[kind])) + head[kind];
  // What a token reads is known as the processor reads it; on a GPU the same weights have another size.
  const sizeOnGpu = bytesOf('gpu') / Math.max(1, bytesOf('packed'));
  let first = layers.length - sum(parts.map(({ nLayers }) => nLayers));
  const ofProcessor = { weights: 1, layers: 1 };
  let seconds = speed.overheadSeconds;
  for (const { speed: gpu, nLayers } of parts) {
    const end = first + nLayers;
    const read = sum(layers.slice(first, end).map((layer) => layer.read)) + (end === layers.length ? head.read : 0);
    const ofWeights = read / Math.max(1, bytesOf('read'));
    const ofLayers = nLayers / Math.max(1, layers.length);
    seconds += ofWeights * sizeOnGpu * weightSeconds(facts, gpu) + ofLayers * layerSeconds(facts, gpu, nPast);
    ofProcessor.weights -= ofWeights;
    ofProcessor.layers -= ofLayers;
    first = end;
  }
  seconds += ofProcessor.weights * weightSeconds(facts, speed) + ofProcessor.layers * layerSeconds(facts, speed, nPast);
  return 1 / seconds;
}
