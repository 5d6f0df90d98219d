// What tabs and halves show, and how they change. Pure: the store around it reads, writes and asks.
import type { Buffer } from './buffer.ts';

/** A question that waits for the user. */
export type BufferPrompt = { kind: 'close' | 'conflict' | 'saveAs'; id: string; closeAfter: boolean };

export interface BuffersState {
  buffers: Readonly<Record<string, Buffer>>;
  /** Buffer ids in the order of their tabs. */
  tabs: readonly string[];
  /** The one that has the keyboard, or had it last. */
  activeId: string | null;
  /** The editor is split: what the half shows that `activeId` is not in. */
  split: { otherId: string | null; isActiveRight: boolean } | null;
  prompt: BufferPrompt | null;
}

export const noBuffers: BuffersState = { buffers: {}, tabs: [], activeId: null, split: null, prompt: null };

/** What a half of the editor shows; without a split there is only the left one. */
export function shownIn({ activeId, split }: BuffersState, isRight: boolean): string | null {
  return split === null || split.isActiveRight === isRight ? activeId : split.otherId;
}

/** With a new tab beside the active one. */
export function withTab({ buffers, tabs, activeId }: BuffersState, buffer: Buffer): Partial<BuffersState> {
  const after = tabs.indexOf(activeId ?? '') + 1 || tabs.length;
  return {
    buffers: { ...buffers, [buffer.id]: buffer },
    tabs: [...tabs.slice(0, after), buffer.id, ...tabs.slice(after)],
  };
}

/** Where it was shown its neighbour is. */
export function withoutTab({ buffers, tabs, activeId, split, prompt }: BuffersState, id: string): BuffersState {
  const rest = tabs.filter((tab) => tab !== id);
  const { [id]: _removed, ...kept } = buffers;
  const neighbour = rest[Math.min(tabs.indexOf(id), rest.length - 1)] ?? null;
  const other = split?.otherId === id ? neighbour : (split?.otherId ?? null);
  return {
    buffers: kept,
    tabs: rest,
    activeId: activeId === id ? neighbour : activeId,
    split: split === null || rest.length === 0 ? null : { ...split, otherId: other },
    prompt: prompt?.id === id ? null : prompt,
  };
}

export function withTabMoved({ tabs }: BuffersState, id: string, toIndex: number): Partial<BuffersState> {
  const others = tabs.filter((tab) => tab !== id);
  return { tabs: [...others.slice(0, toIndex), id, ...others.slice(toIndex)] };
}

/** The keyboard goes to the other half. */
export function withOtherHalf({ activeId, split }: BuffersState): Partial<BuffersState> {
  if (split === null) return {};
  return { activeId: split.otherId, split: { otherId: activeId, isActiveRight: !split.isActiveRight } };
}
