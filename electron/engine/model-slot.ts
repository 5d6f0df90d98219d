// A model's place in the pool: what it is to be, how far it is, and what it looks like from outside.
import { basename } from 'node:path';
import { appError } from '../common/app-error.ts';
import { gpuHeadroomBytes } from '../common/device-need.ts';
import type { ModelInfo } from '../common/engine-contract.ts';
import type { ErrorInfo } from '../common/errors.ts';
import { type DeviceBytes, type LoadedModel, type ModelSpec, mainMemory, pinnable } from '../common/role-contract.ts';
import type { Loaded } from './loaded-model.ts';
import type { NativeModel } from './native.d.ts';

export interface Slot {
  spec: ModelSpec;
  state: LoadedModel['state'];
  progress: number;
  loaded: Loaded | null;
  /** Of the ways in which it could be loaded, the one that there was room for. */
  expected: DeviceBytes;
  info: ModelInfo | null;
  error: ErrorInfo | null;
  /** Of the load that runs. */
  loading: Promise<Loaded> | null;
  cancel: () => void;
  nActive: number;
  lastUsedMs: number;
  /** To be unloaded as soon as nothing runs. */
  isRetired: boolean;
  /** How much the process grew while it was loaded. */
  grownBytes: number;
  /** Why its draft model does not draft. */
  draftProblem: string | null;
  /** Tokens it had read and written when its context was saved last. */
  nSaved: number;
}

/** Left free: the system gets slow before memory runs out. */
export const reserveBytes = 128 * 2 ** 20;

export function newSlot(spec: ModelSpec, nowMs: number): Slot {
  return {
    spec,
    state: 'loading',
    progress: 0,
    loaded: null,
    expected: {},
    info: null,
    error: null,
    loading: null,
    cancel: () => {},
    nActive: 0,
    lastUsedMs: nowMs,
    isRetired: false,
    grownBytes: 0,
    draftProblem: null,
    nSaved: 0,
  };
}

/** What the window shows of it. */
export function describeSlot(slot: Slot, isPinned: boolean): Omit<LoadedModel, 'roles'> {
  const { spec, state, progress, error, nActive, lastUsedMs, draftProblem, expected } = slot;
  return {
    id: spec.id,
    name: nameOf(slot),
    state,
    progress,
    error,
    isPinned,
    nActive,
    idleSinceMs: lastUsedMs,
    predictedBytes: expected[mainMemory] ?? 0,
    memory: memoryOf(slot),
    shares: sharesOf(slot),
    draft: spec.draft && { name: spec.draft.name, problem: draftProblem },
    decoding: decodingOf(slot),
    cache: cacheOf(slot),
  };
}

/**
 * By device: what was expected, or what the engine made of it, where that is more. The engine
 * does not say what it computes with.
 */
export function heldBytes(slot: Slot): DeviceBytes {
  return { ...slot.expected, ...Object.fromEntries(sharesOf(slot).map(({ device, bytes }) => [device, bytes])) };
}

/**
 * What it is going to take of a GPU beside what it has taken: its context grows, and the first pass makes room to compute. The
 * engine leaves as much to it when it plans for others, and none of the headroom of its plan: theirs have one of their own.
 */
export function outstandingBytes(slot: Slot, device: string): number {
  const share = sharesOf(slot).find((part) => part.device === device);
  if (!slot.loaded || !share) return 0;
  const { kvBytesUsed, nPrompt } = slot.loaded.engine.stats();
  const kvUsed = (kvBytesUsed * share.kv) / Math.max(1, kvBytesOf(slot.loaded));
  const toCompute = Math.max(0, share.bytes - share.weights - share.kv - gpuHeadroomBytes);
  return Math.max(0, share.kv - kvUsed) + (nPrompt === 0 ? toCompute : 0);
}

function memoryOf({ spec, loaded, info, grownBytes }: Slot): LoadedModel['memory'] {
  if (!loaded || !info) return null;
  const { kvBytesUsed } = loaded.engine.stats();
  const draft = loaded.draft ? (spec.draft?.memoryBytes ?? 0) : 0;
  return { weights: info.weightBytes, kvUsed: kvBytesUsed, kv: kvBytesOf(loaded), draft, grown: grownBytes };
}

/** As before it was loaded: those of its head for further tokens are among them, and on the one device that has it all. */
function kvBytesOf({ engine }: Loaded): number {
  const { kvBytesTotal, headKvBytes } = engine.stats();
  return kvBytesTotal + headKvBytes;
}

function sharesOf({ loaded, expected }: Slot): LoadedModel['shares'] {
  if (!loaded) return [];
  const { shares } = loaded.model.info;
  const kvBytes = kvBytesOf(loaded);
  const nLayers = shares.reduce((sum, { nLayer }) => sum + nLayer, 0);
  return shares.map(({ device, nLayer, weightBytes: weights }) => {
    const kv = (kvBytes * nLayer) / Math.max(1, nLayers);
    return { device, nLayer, weights, kv, bytes: Math.max(expected[device] ?? 0, weights + kv) };
  });
}

function decodingOf({ loaded }: Slot): LoadedModel['decoding'] {
  if (!loaded) return null;
  const { nDecoded, nPasses, decodeMs, plainTokenMs, drafts } = loaded.engine.stats();
  return { nDecoded, nPasses, decodeMs, plainTokenMs, drafts };
}

function cacheOf({ loaded, spec }: Slot): LoadedModel['cache'] {
  if (!loaded) return null;
  const { kvBytesPerToken, nHead, nHeadKv } = loaded.model.info;
  const { nKvPages: nPages, nKvTokens: nTokens, nPrompt, nReused } = loaded.engine.stats();
  const f16Bytes = nTokens * kvBytesPerToken;
  const mhaBytes = (f16Bytes * nHead) / Math.max(1, nHeadKv);
  return { preset: spec.kvPreset, nPages, nTokens, f16Bytes, mhaBytes, nPrompt, nReused };
}

/** What makes it another model for the engine is the same. */
export function isSame(a: ModelSpec, b: ModelSpec): boolean {
  const keys = ['modelPath', 'name', 'nThreads', 'device', 'deviceLayers', 'nCtx', 'kvPreset', 'chatTemplate'] as const;
  return keys.every((key) => a[key] === b[key]) && a.draft?.modelPath === b.draft?.modelPath;
}

export function nameOf({ info, spec }: Slot): string {
  return info?.name ?? spec.name ?? basename(spec.modelPath);
}

export function nTokensOf({ engine }: Loaded): number {
  const { nPrompt, nDecoded } = engine.stats();
  return nPrompt + nDecoded;
}

/** What a pass takes depends on the file, on what computes, and on how many threads do. */
export function costKey({ nThreads }: ModelSpec, { info }: NativeModel): string {
  return [info.path, info.fileBytes, info.backend, nThreads].join('\n');
}

/** For whoever waits for a load that was given up. */
export function loadStopped(slot: Slot) {
  return appError('ENGINE_NOT_READY', `Loading ${nameOf(slot)} was stopped.`, { hint: 'Ask again, and it is loaded.' });
}

/** @param room that there is, of the main memory without what is left free, which is less than `way` needs of it */
export function outOfMemory({ spec }: Slot, way: DeviceBytes, room: DeviceBytes, limitBytes: number) {
  const inGiB = (bytes: number) => `${(Math.max(0, bytes) / 2 ** 30).toFixed(2)} GiB`;
  const name = spec.name ?? basename(spec.modelPath);
  const [neededBytes, roomBytes] = [way[mainMemory] ?? 0, room[mainMemory] ?? 0];
  if (neededBytes <= roomBytes) {
    const toPin = `${inGiB(way[pinnable] ?? 0)} have to be free for that, and ${inGiB(room[pinnable] ?? 0)} are`;
    return appError('OUT_OF_MEMORY', `${name} keeps experts in the main memory: ${toPin}.`, {
      hint: 'Close other programs, give the GPU fewer layers, or have the processor compute the model.',
    });
  }
  const where = limitBytes > 0 ? 'the memory limit of the settings leaves' : 'the system can give';
  return appError('OUT_OF_MEMORY', `${name} needs ${inGiB(neededBytes)} of memory; ${where} ${inGiB(roomBytes)}.`, {
    hint: `Choose a shorter context or a smaller model, ${limitBytes > 0 ? 'or raise the limit.' : 'or close other programs.'}`,
  });
}
