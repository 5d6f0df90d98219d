// Messages that belong to no place in the window. Notes go by themselves, and do not appear at all where the user wants
// it quiet; errors stay until they are closed. What was said is kept in a list for this session.
import { createStore, type StoreApi } from 'zustand/vanilla';
import type { ErrorInfo } from '../../electron/common/errors.ts';

export interface Notification {
  id: number;
  kind: 'info' | 'error';
  message: string;
  hint?: string | undefined;
  detail?: string | undefined;
  action?: { label: string; run: () => void } | undefined;
  atMs: number;
}

export interface NotificationsState {
  /** What is on the screen. */
  items: readonly Notification[];
  /** Everything that was said, oldest first. */
  past: readonly Notification[];
}

const kNoteMs = 6000;
/** Older ones are dropped: a failing disk must not fill the screen. */
const kMostShown = 4;
const kMostKept = 100;

export class NotificationsStore {
  readonly store: StoreApi<NotificationsState> = createStore<NotificationsState>(() => ({ items: [], past: [] }));
  readonly #isQuiet: () => boolean;
  #nextId = 1;

  constructor(isQuiet: () => boolean = () => false) {
    this.#isQuiet = isQuiet;
  }

  error({ message, hint, detail }: ErrorInfo): void {
    const { items } = this.store.getState();
    if (items.some((item) => item.kind === 'error' && item.message === message)) return;
    this.#add({ id: this.#nextId++, kind: 'error', message, hint, detail, atMs: Date.now() }, true);
  }

  /** @returns closes it before its time: what it offers is done */
  note(message: string, action?: Notification['action']): () => void {
    const id = this.#nextId++;
    this.#add({ id, kind: 'info', message, action, atMs: Date.now() }, !this.#isQuiet());
    setTimeout(() => this.close(id), kNoteMs);
    return () => this.close(id);
  }

  close(id: number): void {
    this.store.setState(({ items }) => ({ items: items.filter((item) => item.id !== id) }));
  }

  #add(item: Notification, isShown: boolean): void {
    this.store.setState(({ items, past }) => ({
      items: isShown ? [...items, item].slice(-kMostShown) : items,
      past: [...past, item].slice(-kMostKept),
    }));
  }
}
