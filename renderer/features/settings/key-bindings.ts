// Other keys for commands. A key belongs to one command: whoever had it before loses it.
import type { Settings } from '../../../electron/common/settings.ts';

export interface Bindable {
  id: string;
  title: string;
  /** Where the user chose nothing. */
  usual: string | null;
  readonly accelerator: string | null;
}

type Keys = Settings['keys'];

/** @param accelerator null for none @return the keys to store, and the command that lost this one */
export function bind(
  commands: readonly Bindable[],
  keys: Keys,
  id: string,
  accelerator: string | null,
): { keys: Keys; lost: Bindable | null } {
  const lost =
    accelerator === null ? undefined : commands.find((other) => other.id !== id && keyOf(other, keys) === accelerator);
  const next = { ...keys, [id]: accelerator, ...(lost ? { [lost.id]: null } : {}) };
  // What is the usual key again need not be stored.
  const kept = Object.entries(next).filter(([key, value]) => commands.find((one) => one.id === key)?.usual !== value);
  return { keys: Object.fromEntries(kept), lost: lost ?? null };
}

export function keyOf({ id, usual }: Bindable, keys: Keys): string | null {
  const own = keys[id];
  return own === undefined ? usual : own;
}
