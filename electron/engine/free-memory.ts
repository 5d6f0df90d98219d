// What is free on each device for one more model: the main memory within the limit of the settings, and GPUs beside what
// the models that are loaded have not taken yet.
import {
  type Device,
  type DeviceBytes,
  gpusOf,
  isUsable,
  mainMemory,
  mostReasonChars,
  pinnable,
} from '../common/role-contract.ts';
import { heldBytes, outstandingBytes, reserveBytes, type Slot } from './model-slot.ts';
import type { NativeAddon } from './native.d.ts';

export interface FreeMemoryOptions {
  addon: NativeAddon;
  /** What the system could give now of the main memory. */
  freeBytes: () => number;
  slots: () => Iterable<Slot>;
}

export class FreeMemory {
  readonly #options: FreeMemoryOptions;
  /** Most of the main memory that models may have together; 0: all that is free. */
  limitBytes = 0;

  constructor(options: FreeMemoryOptions) {
    this.#options = options;
  }

  /** Those that are there. One that cannot be used has nothing free. */
  async gpus(): Promise<Device[]> {
    const devices = await this.#options.addon.listDevices();
    const taking = (id: string) => this.#sum((slot) => outstandingBytes(slot, id));
    return devices
      .filter(({ id }) => id !== mainMemory)
      .map(({ unusable, ...gpu }) =>
        unusable === undefined
          ? { ...gpu, freeBytes: Math.max(0, gpu.freeBytes - taking(gpu.id)) }
          : { ...gpu, freeBytes: 0, reason: unusable.slice(0, mostReasonChars) },
      );
  }

  /** For a model that is computed there. A GPU that cannot be used is not among them: the load says why. */
  async onDevices(device: string): Promise<DeviceBytes> {
    const gpus = gpusOf(device).length === 0 ? [] : await this.gpus().catch(() => []);
    const ofGpus = Object.fromEntries(gpus.filter(isUsable).map(({ id, freeBytes }) => [id, freeBytes]));
    // The engine asks what the system could give, whatever the settings leave to models.
    return { ...ofGpus, [mainMemory]: this.inMain(), [pinnable]: this.#options.freeBytes() };
  }

  inMain(): number {
    const free = this.#options.freeBytes() - reserveBytes;
    if (this.limitBytes === 0) return free;
    return Math.min(
      free,
      this.limitBytes - this.#sum((slot) => (slot.loaded ? (heldBytes(slot)[mainMemory] ?? 0) : 0)),
    );
  }

  #sum(bytesOf: (slot: Slot) => number): number {
    return [...this.#options.slots()].reduce((sum, slot) => sum + bytesOf(slot), 0);
  }
}
