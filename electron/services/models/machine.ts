// This machine, as far as models are concerned: how much memory it has, its GPUs, and how fast it is.
import { totalmem } from 'node:os';
import { gpuKey, guessedGpuSpeed } from '../../common/device-fit.ts';
import type { ModelsState } from '../../common/model-contract.ts';
import { type MachineSpeed, predictTokensPerSecond } from '../../common/model-facts.ts';
import { type Device, isUsable, type MeasuredSpeeds } from '../../common/role-contract.ts';
import type { Library } from './library.ts';
import type { SpeedFile } from './machine-speed.ts';

export interface MachineOptions {
  speed: SpeedFile;
  library: Library;
  /** @throws ENGINE_NOT_READY while the engine starts, or computes */
  measure: (types: string[], device: string) => Promise<MeasuredSpeeds>;
  gpus: () => Promise<Device[]>;
  onChange: () => void;
}

export class Machine {
  readonly #options: MachineOptions;
  #measuring: Promise<void> = Promise.resolve();
  #gpus: Device[] = [];
  /** The most that each GPU ever had free: without the models that are on it now. */
  readonly #mostFree = new Map<string, number>();

  constructor(options: MachineOptions) {
    this.#options = options;
  }

  get speed(): MachineSpeed {
    return this.#options.speed.current;
  }

  memory(limitBytes: number): ModelsState['memory'] {
    return { totalBytes: totalmem(), freeBytes: process.availableMemory(), limitBytes, gpus: this.#gpus };
  }

  /**
   * A reply was measured: predictions learn from it.
   * @param nPast positions that were in the context, in the middle of the reply
   */
  measured(id: string, tokensPerSecond: number, nPast: number): void {
    const { library, speed } = this.#options;
    const model = library.get(id);
    if (!model?.facts || !(tokensPerSecond > 0) || model.overrides.device) return;
    const expected = model.speed?.expected ?? predictTokensPerSecond(model.facts, speed.current, nPast);
    library.change(id, { speed: { expected, measured: tokensPerSecond } });
    speed.learn(model.facts, tokensPerSecond, nPast);
  }

  /** A GPU that can be used, with what it has free when no model is on it. */
  gpu(id: string): Device | undefined {
    const gpu = this.#gpus.find((known) => known.id === id && isUsable(known));
    return gpu && { ...gpu, freeBytes: this.#mostFree.get(gpuKey(gpu)) ?? gpu.freeBytes };
  }

  /**
   * What is not known yet. One after the other: two at once would slow each other down.
   * @param device "cpu", or a GPU that can be used @throws ENGINE_NOT_READY, OUT_OF_MEMORY
   */
  measureSpeeds(types: readonly string[], device = 'cpu'): Promise<void> {
    const { speed, measure, onChange } = this.#options;
    const measureUnknown = async () => {
      const gpu = this.gpu(device);
      const key = gpu ? gpuKey(gpu) : null;
      if (key === null && device !== 'cpu') return;
      const { bytesPerSecond, layer } = key === null ? speed.current : (speed.current.gpus[key] ?? guessedGpuSpeed);
      const unknown = types.filter((type) => bytesPerSecond[type] === undefined);
      if (unknown.length === 0 && layer !== null) return;
      speed.measured(await measure(unknown, device), key);
      onChange();
    };
    this.#measuring = this.#measuring.catch(() => {}).then(measureUnknown);
    return this.#measuring;
  }

  /** Those that there are now, and what they have free. None while the engine does not run. */
  async lookAtGpus(): Promise<void> {
    const nBefore = this.#gpus.length;
    this.#gpus = await this.#options.gpus().catch(() => []);
    for (const gpu of this.#gpus.filter(isUsable)) {
      const key = gpuKey(gpu);
      this.#mostFree.set(key, Math.max(gpu.freeBytes, this.#mostFree.get(key) ?? 0));
    }
    if (this.#gpus.length > 0 || nBefore > 0) this.#options.onChange();
  }
}
