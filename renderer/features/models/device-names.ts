// GPUs as a user is told of them: which can be chosen, what they are called, and what to do about one that cannot be used.
import { type Device, gpusOf, isUsable } from '../../../electron/common/role-contract.ts';

export interface DeviceProblem {
  /** A sentence. */
  message: string;
  hint: string;
}

/** What layers can be given to: each GPU that can be used, and all of them together where each has a memory of its own. */
export function gpuChoices(gpus: readonly Device[]): Pick<Device, 'id' | 'name' | 'freeBytes' | 'totalBytes'>[] {
  const usable = gpus.filter(isUsable);
  const own = usable.filter(({ sharesMemory }) => !sharesMemory);
  const sum = (bytes: 'freeBytes' | 'totalBytes') => own.reduce((total, gpu) => total + gpu[bytes], 0);
  const all = {
    id: own.map(({ id }) => id).join(),
    name: own.length === 2 ? 'Both GPUs' : `All ${own.length} GPUs`,
    freeBytes: sum('freeBytes'),
    totalBytes: sum('totalBytes'),
  };
  return [...usable.map((gpu) => ({ ...gpu, name: nameOfGpu(gpu, gpus) })), ...(own.length > 1 ? [all] : [])];
}

/** Those that are there and cannot be chosen. A driver need not say why; the engine says it as a part of a sentence. */
export function refusingGpus(gpus: readonly Device[]): { id: string; name: string; reason: string }[] {
  return gpus
    .filter((gpu) => !isUsable(gpu))
    .map((gpu) => ({
      id: gpu.id,
      name: nameOfGpu(gpu, gpus),
      reason: ended(gpu.reason || 'its driver does not say why'),
    }));
}

const ended = (text: string): string => (/[.!?]$/.test(text) ? text : `${text}.`);

/** Its name, with its id where another one has the same. */
export function nameOfGpu({ id, name }: Device, gpus: readonly Device[]): string {
  return gpus.some((other) => other.name === name && other.id !== id) ? `${name} (${id})` : name;
}

/** Names of what is chosen, ids of what is not there. */
export function namesOfDevice(device: string, gpus: readonly Device[]): string {
  const names = gpusOf(device).map((id) => {
    const gpu = gpus.find((known) => known.id === id);
    return gpu ? nameOfGpu(gpu, gpus) : id;
  });
  return names.join(' and ');
}

/**
 * Of a GPU that is not even listed, the reason comes with the load, which is refused.
 * @param gpus that there are @returns null for the processor, and where all that is chosen can be used
 */
export function deviceProblem(device: string, gpus: readonly Device[]): DeviceProblem | null {
  const missing = gpusOf(device).filter((id) => !gpus.some((gpu) => gpu.id === id && isUsable(gpu)));
  if (missing.length === 0) return null;
  const others = gpus.some(isUsable) ? 'the processor or another GPU' : 'the processor';
  const message = `${namesOfDevice(missing.join(), gpus)} cannot be used now.`;
  const reasons = refusingGpus(gpus).filter(({ id }) => missing.includes(id));
  if (reasons.length === missing.length) {
    const hint = reasons.map(({ reason }) => reason).join(' ');
    return { message, hint: `${hint} Load the model again once that is solved, or choose ${others}.` };
  }
  return {
    message,
    hint: `It is missing, its driver does not answer, or another program has it or all of its memory. Close that program and load the model again: if it is refused, the engine says which it is. Or choose ${others}.`,
  };
}
