// A model whose last layers a GPU computes, and the processor those before: what each of the two needs, how many layers
// there is room for, and what a token then takes. Pure, as model-facts.ts; the engine chooses by the same figures
// (native/model/device_layers.cpp).
import {
  type DeviceSpeed,
  type FitQuestion,
  kvBytes,
  layerSeconds,
  type MachineSpeed,
  type MemorySplit,
  type ModelFacts,
  mtpKvBytes,
  predictMemory,
  weightSeconds,
} from './model-facts.ts';
import type { Device } from './role-contract.ts';

/** On a GPU the app keeps keys and values in 16 bits, and so does whoever shares a model with it (docs/gpu.md). */
export const gpuKvBits = 16;
/** Tokens in one pass: with all layers on a GPU those that suit it, otherwise those that suit the processor. */
const nPassOfGpu = 2048;
const nPassOfBoth = 64;
/** Kept free on a GPU for what is not counted one by one: codes of activations, inputs and recorded passes. */
const gpuHeadroomBytes = 256 * 2 ** 20;
/** A GPU that was never measured reads so much per second; a fast one ten times that. */
export const guessedGpuSpeed: DeviceSpeed = { bytesPerSecond: {}, other: 300e9, layer: null };

/** What a GPU is known by in `MachineSpeed.gpus`: another one in its place was not measured. */
export const gpuKey = ({ id, name }: Pick<Device, 'id' | 'name'>) => `${id} ${name}`;

export const speedOfGpu = ({ gpus }: MachineSpeed, gpu: Pick<Device, 'id' | 'name'>): DeviceSpeed =>
  gpus[gpuKey(gpu)] ?? guessedGpuSpeed;

export interface SharedMemory {
  ram: MemorySplit;
  gpu: MemorySplit;
}

const sum = (numbers: readonly number[]) => numbers.reduce((total, n) => total + n, 0);

/** @param nGpuLayers of the last layers, with the output; all of them bring the embeddings along, and the draft model */
export function predictSharedMemory(facts: ModelFacts, question: FitQuestion, nGpuLayers: number): SharedMemory {
  const { layers, head, isTied, tableBytes, nEmbd, nFf, nVocab } = facts;
  const border = layers.length - Math.min(nGpuLayers, layers.length);
  const isAll = border === 0;
  const kv = kvBytes(facts, question.nCtx, gpuKvBits);
  const onGpu = 1 - border / Math.max(1, layers.length);
  const { workspace, draft } = predictMemory(facts, question);
  const onlyWhole = isAll ? (isTied ? 0 : tableBytes) + (facts.mtpHead?.gpu ?? 0) : 0;
  const gpuWeights = sum(layers.slice(border).map(({ gpu }) => gpu)) + head.gpu + onlyWhole;
  const ramWeights = isAll ? 0 : sum(layers.slice(0, border).map(({ packed }) => packed)) + tableBytes;
  const pass = 4 * (isAll ? nPassOfGpu : nPassOfBoth) * (8 * nEmbd + 2 * nFf) + 4 * 2 * nVocab;
  return {
    ram: splitOf({ weights: ramWeights, kv: kv * (1 - onGpu), workspace, draft: isAll ? 0 : draft }),
    gpu: splitOf({
      weights: gpuWeights,
      kv: kv * onGpu + (isAll ? mtpKvBytes(facts, question.nCtx) : 0),
      workspace: pass + gpuHeadroomBytes,
      draft: isAll ? draft : 0,
    }),
  };
}

/** The same beside this GPU. Where its memory is the main memory, that has to have room for both. */
export function predictMemoryBeside(
  { sharesMemory }: Pick<Device, 'sharesMemory'>,
  facts: ModelFacts,
  question: FitQuestion,
  nGpuLayers: number,
): SharedMemory {
  const { ram, gpu } = predictSharedMemory(facts, question, nGpuLayers);
  if (!sharesMemory) return { ram, gpu };
  return {
    ram: splitOf({
      weights: ram.weights + gpu.weights,
      kv: ram.kv + gpu.kv,
      workspace: ram.workspace + gpu.workspace,
      draft: ram.draft + gpu.draft,
    }),
    gpu,
  };
}

const splitOf = (parts: Omit<MemorySplit, 'total'>): MemorySplit => ({
  ...parts,
  total: parts.weights + parts.kv + parts.workspace + parts.draft,
});

/** How many of the last layers there is room for on a GPU; 0 if there is none for a single one. */
export function fittingLayers(facts: ModelFacts, question: FitQuestion, freeBytes: number): number {
  let n = facts.layers.length;
  while (n > 0 && predictSharedMemory(facts, question, n).gpu.total > freeBytes) n -= 1;
  return n;
}

/** @param nPast positions in the context */
export function predictSharedTokensPerSecond(
  facts: ModelFacts,
  speed: MachineSpeed,
  gpu: DeviceSpeed,
  nGpuLayers: number,
  nPast: number,
): number {
  const { layers, head } = facts;
  const border = layers.length - Math.min(nGpuLayers, layers.length);
  const bytesOf = (kind: 'gpu' | 'packed' | 'read') => sum(layers.map((layer) => layer[kind])) + head[kind];
  const ofGpu = (sum(layers.slice(border).map(({ read }) => read)) + head.read) / Math.max(1, bytesOf('read'));
  const layersOfGpu = 1 - border / Math.max(1, layers.length);
  // What a token reads is known as the processor reads it; on a GPU the same weights have another size.
  const sizeOnGpu = bytesOf('gpu') / Math.max(1, bytesOf('packed'));
  const weights = (1 - ofGpu) * weightSeconds(facts, speed) + ofGpu * sizeOnGpu * weightSeconds(facts, gpu);
  const besides = (1 - layersOfGpu) * layerSeconds(facts, speed, nPast) + layersOfGpu * layerSeconds(facts, gpu, nPast);
  return 1 / (speed.overheadSeconds + weights + besides);
}
