// Whether there is room for a model, and who makes some: bytes by device, of which the main memory is one. Pure: the pool
// does what is decided here.
import { type DeviceBytes, mainMemory, pinnable } from '../common/role-contract.ts';

/** A model that is in memory. */
export interface Resident {
  /** What it has of each device. */
  heldBytes: DeviceBytes;
  nActive: number;
  lastUsedMs: number;
  isPinned: boolean;
}

export type RoomDecision<T extends Resident> =
  /** With what it is expected to take. */
  | { do: 'load'; way: DeviceBytes }
  | { do: 'unload'; model: T }
  /** Until a model that computes is released. */
  | { do: 'wait' }
  /** There is not enough of the main memory for this way, with all that may go unloaded. */
  | { do: 'refuse'; way: DeviceBytes };

/** For more layers on a GPU than there is room for, models go that nobody asked for so long: else two would take turns. */
const recentMs = 5 * 60_000;

/**
 * What is to be done next; and then asked again, with the room that there is then. Models that are idle go, the one that was
 * used longest ago first, but only those that have something of a device that lacks room.
 * @param ways as ModelSpec.memory has them. Of GPUs that have no room for the least, the engine itself says so, and how much
 *   is missing: it plans by what is free while it loads
 * @param room that each device has; one that is not named is the engine's concern
 */
export function decideRoom<T extends Resident>(
  ways: readonly DeviceBytes[],
  residents: readonly T[],
  room: DeviceBytes,
  nowMs: number,
): RoomDecision<T> {
  const lacking = (way: DeviceBytes) =>
    Object.keys(way)
      .filter((device) => (way[device] ?? 0) > (room[device] ?? Infinity))
      // Whatever leaves the main memory, more of it can be pinned then.
      .map((device) => (device === pinnable ? mainMemory : device));
  const [best = {}] = ways;
  const fitting = ways.find((way) => lacking(way).length === 0);
  if (ways.length === 0 || fitting === best) return { do: 'load', way: best };
  /** Whether all that a way lacks is held by some of these. */
  const isHeld = (way: DeviceBytes, by: readonly T[]) =>
    lacking(way).every((device) => by.some(({ heldBytes }) => (heldBytes[device] ?? 0) > 0));
  const others = residents.filter(({ isPinned }) => !isPinned);
  const idle = others.filter(
    ({ nActive, lastUsedMs }) => nActive === 0 && (!fitting || lastUsedMs <= nowMs - recentMs),
  );
  const attainable = ways.find((way) => isHeld(way, idle));
  const [oldest] = idle
    .filter(({ heldBytes }) => attainable && lacking(attainable).some((device) => (heldBytes[device] ?? 0) > 0))
    .sort((a, b) => a.lastUsedMs - b.lastUsedMs);
  if (oldest) return { do: 'unload', model: oldest };
  if (fitting) return { do: 'load', way: fitting };
  // Those that are idle do not have all that is lacking, so one that computes has some of it.
  if (ways.some((way) => isHeld(way, others))) return { do: 'wait' };
  const fitsGpus = ways.find((way) => lacking(way).every((device) => device === mainMemory));
  return fitsGpus ? { do: 'refuse', way: fitsGpus } : { do: 'load', way: ways.at(-1) ?? best };
}
