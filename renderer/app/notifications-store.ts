// Messages that belong to no place in the window. Notes go by themselves; errors stay until they are closed.
import { createStore, type StoreApi } from 'zustand/vanilla';
import type { ErrorInfo } from '../../electron/common/errors.ts';

export interface Notification {
  id: number;
  kind: 'info' | 'error';
  message: string;
  hint?: string | undefined;
  detail?: string | undefined;
  action?: { label: string; run: () => void } | undefined;
}

const kNoteMs = 6000;
/** Older ones are dropped: a failing disk must not fill the screen. */
const kMostShown = 4;

export class NotificationsStore {
  readonly store: StoreApi<{ items: readonly Notification[] }> = createStore(() => ({
    items: [] as readonly Notification[],
  }));
  #nextId = 1;

  error({ message, hint, detail }: ErrorInfo): void {
    const { items } = this.store.getState();
    if (items.some((item) => item.kind === 'error' && item.message === message)) return;
    this.#add({ id: this.#nextId++, kind: 'error', message, hint, detail });
  }

  note(message: string, action?: Notification['action']): void {
    const id = this.#nextId++;
    this.#add({ id, kind: 'info', message, action });
    setTimeout(() => this.close(id), kNoteMs);
  }

  close(id: number): void {
    this.store.setState(({ items }) => ({ items: items.filter((item) => item.id !== id) }));
  }

  #add(item: Notification): void {
    this.store.setState(({ items }) => ({ items: [...items, item].slice(-kMostShown) }));
  }
}
