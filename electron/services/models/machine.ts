// This machine, as far as models are concerned: how much memory it has, its GPUs, and how fast it is.
import { totalmem } from 'node:os';
import type { ModelsState } from '../../common/model-contract.ts';
import { type MachineSpeed, predictTokensPerSecond } from '../../common/model-facts.ts';
import type { Device, MeasuredSpeeds } from '../../common/role-contract.ts';
import type { Library } from './library.ts';
import type { SpeedFile } from './machine-speed.ts';

export interface MachineOptions {
  speed: SpeedFile;
  library: Library;
  /** @throws ENGINE_NOT_READY while the engine starts, or computes */
  measure: (types: string[]) => Promise<MeasuredSpeeds>;
  gpus: () => Promise<Device[]>;
  onChange: () => void;
}

export class Machine {
  readonly #options: MachineOptions;
  #measuring: Promise<void> = Promise.resolve();
  #gpus: Device[] = [];

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

  /** What is not known yet. One after the other: two at once would slow each other down. @throws ENGINE_NOT_READY, OUT_OF_MEMORY */
  measureSpeeds(types: readonly string[]): Promise<void> {
    const { speed, measure, onChange } = this.#options;
    const measureUnknown = async () => {
      const { bytesPerSecond, layer } = speed.current;
      const unknown = types.filter((type) => bytesPerSecond[type] === undefined);
      if (unknown.length === 0 && layer !== null) return;
      speed.measured(await measure(unknown));
      onChange();
    };
    this.#measuring = this.#measuring.catch(() => {}).then(measureUnknown);
    return this.#measuring;
  }

  /** Those that there are now, and what they have free. None while the engine does not run. */
  async lookAtGpus(): Promise<void> {
    this.#gpus = await this.#options.gpus().catch(() => []);
    if (this.#gpus.length > 0) this.#options.onChange();
  }
}
