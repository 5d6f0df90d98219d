// Room for one more model: what is free, and who goes for it.
import { type DeviceBytes, gpusOf, mainMemory } from '../common/role-contract.ts';
import type { FreeMemory } from './free-memory.ts';
import { decideRoom } from './memory-room.ts';
import { heldBytes, outOfMemory, type Slot } from './model-slot.ts';

export interface LoadRoomOptions {
  memory: FreeMemory;
  slots: () => Iterable<Slot>;
  isPinned: (slot: Slot) => boolean;
  nowMs: () => number;
  /** Frees the memory of a model that is idle, for another one. */
  unload: (idle: Slot, other: Slot) => void;
  /** Resolves when a model that computed is released. */
  released: () => Promise<void>;
}

export class LoadRoom {
  readonly #options: LoadRoomOptions;

  constructor(options: LoadRoomOptions) {
    this.#options = options;
  }

  /** @returns how it is to be loaded; null if others have to go for it, or a GPU has to be asked */
  known({ spec }: Slot): DeviceBytes | null {
    if (spec.memory.length > 0 && gpusOf(spec.device).length > 0) return null;
    const { memory, nowMs } = this.#options;
    const decision = decideRoom(spec.memory, [], { [mainMemory]: memory.inMain() }, nowMs());
    return decision.do === 'load' ? decision.way : null;
  }

  /** @returns how it is to be loaded @throws OUT_OF_MEMORY if there would not be enough with everything else unloaded */
  async make(slot: Slot, throwIfCancelled: () => void): Promise<DeviceBytes> {
    const { memory, nowMs, unload, released } = this.#options;
    for (;;) {
      const room = await memory.onDevices(slot.spec.device);
      throwIfCancelled();
      const decision = decideRoom(slot.spec.memory, this.#residentsBut(slot), room, nowMs());
      if (decision.do === 'load') return decision.way;
      if (decision.do === 'refuse') throw outOfMemory(slot, decision.way, room, memory.limitBytes);
      if (decision.do === 'unload') unload(decision.model.slot, slot);
      else await released();
    }
  }

  /** Where the engine finds too little on a GPU: it knows better what it needs. @returns whether one went for it */
  makeMoreOnGpus(slot: Slot): boolean {
    const gpus = gpusOf(slot.spec.device);
    const [oldest] = this.#residentsBut(slot)
      .filter(({ nActive, isPinned }) => nActive === 0 && !isPinned)
      .filter((resident) => gpus.some((gpu) => (resident.heldBytes[gpu] ?? 0) > 0))
      .sort((a, b) => a.lastUsedMs - b.lastUsedMs);
    if (oldest) this.#options.unload(oldest.slot, slot);
    return oldest !== undefined;
  }

  #residentsBut(slot: Slot) {
    return [...this.#options.slots()]
      .filter((other) => other !== slot && other.loaded !== null)
      .map((other) => ({
        slot: other,
        heldBytes: heldBytes(other),
        nActive: other.nActive,
        lastUsedMs: other.lastUsedMs,
        isPinned: this.#options.isPinned(other),
      }));
  }
}
