// Who waits for whom where there are fewer processors than work: the window first, then what it asked for, then searches.
// Only for processes with Node.
import { constants, setPriority } from 'node:os';

/**
 * Of a process that works for the window: where both want a processor the window gets the larger part (Linux: a
 * weight of 655 against 1024). Lower, and a compiler that runs beside would slow down every reply.
 */
export const kForTheWindow = 2;

/** For this process and the threads that it starts from now on. Elsewhere than on Linux, for all of it. */
export function giveWayToTheWindow(): void {
  lower(0, kForTheWindow);
}

/** For a program that nobody waits for with the fingers on the keys. */
export function giveWayToAll(pid: number | undefined): void {
  if (pid !== undefined) lower(pid, constants.priority.PRIORITY_BELOW_NORMAL);
}

function lower(pid: number, priority: number): void {
  try {
    setPriority(pid, priority);
  } catch {
    // It has ended already, or the system does not allow it: then it is only less kind.
  }
}
