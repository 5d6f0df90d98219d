// Proposed changes of open files, each reviewed before a character of the text is touched. What was accepted is put into
// the text as one step that can be undone, saved, read back and compared.
import { createStore, type StoreApi } from 'zustand/vanilla';
import { toErrorInfo } from '../../../electron/common/error-info.ts';
import type { ErrorInfo } from '../../../electron/common/errors.ts';
import { decide, nextPending, type Review, reviewedText, startReview, undecide } from '../../lib/review.ts';

/** The files of the window, as far as a review needs them. */
export interface ReviewedFiles {
  /** Null if it is not open any more. */
  text: (id: string) => string | null;
  isDirty: (id: string) => boolean;
  title: (id: string) => string;
  /** Replaces the text as one step that can be undone. */
  edit: (id: string, text: string) => void;
  /** @return whether it is on disk; false, too, for a text that has no file yet */
  save: (id: string) => Promise<boolean>;
  /** What the disk has; null for a text that has no file. */
  readDisk: (id: string) => Promise<string | null>;
}

export interface ActiveReview {
  review: Review;
  /** The change that the keys are about. */
  current: number;
}

export interface ReviewDeps {
  files: ReviewedFiles;
  onNote: (message: string, action?: { label: string; run: () => void }) => void;
  onError: (error: ErrorInfo) => void;
}

export class ReviewStore {
  /** By buffer id. */
  readonly store: StoreApi<{ reviews: Readonly<Record<string, ActiveReview>> }> = createStore(() => ({ reviews: {} }));
  readonly #deps: ReviewDeps;

  constructor(deps: ReviewDeps) {
    this.#deps = deps;
  }

  get(id: string): ActiveReview | undefined {
    return this.store.getState().reviews[id];
  }

  /** @return false if the proposal changes nothing */
  start(id: string, proposed: string): boolean {
    const text = this.#deps.files.text(id);
    if (text === null || text === proposed) return false;
    this.#set(id, { review: startReview(text, proposed), current: 0 });
    return true;
  }

  go(id: string, step: 1 | -1): void {
    const active = this.get(id);
    if (!active) return;
    this.#set(id, { ...active, current: nextPending(active.review, active.current, step) ?? active.current });
  }

  /** With the last decision the review is over, and what was accepted is applied. */
  async decide(id: string, which: 'current' | 'all', decision: 'accepted' | 'rejected'): Promise<void> {
    const active = this.get(id);
    if (!active) return;
    const review = decide(active.review, which === 'all' ? 'all' : active.current, decision);
    const next = nextPending(review, active.current);
    this.#set(id, { review, current: next ?? active.current });
    if (next === null) await this.apply(id);
  }

  undo(id: string): void {
    const active = this.get(id);
    if (!active) return;
    const review = undecide(active.review);
    const changed = review.decisions.findIndex((decision, i) => decision !== active.review.decisions[i]);
    this.#set(id, { review, current: changed < 0 ? active.current : changed });
  }

  /** Ends the review; the text stays as it is. */
  cancel(id: string): void {
    this.#set(id, undefined);
  }

  /** Applies what was accepted so far; open changes are dropped. */
  async apply(id: string): Promise<void> {
    const { files, onNote, onError } = this.#deps;
    const active = this.get(id);
    if (!active) return;
    this.cancel(id);
    const { review } = active;
    const before = review.before.join('');
    const title = files.title(id);
    if (files.text(id) !== before) {
      onError({
        code: 'FILE_CHANGED_ON_DISK',
        message: `${title} changed while its changes were reviewed. Nothing was applied.`,
        hint: 'Apply the code again to review it against the new text.',
      });
      return;
    }
    const nAccepted = review.decisions.filter((decision) => decision === 'accepted').length;
    if (nAccepted === 0) return onNote(`No change of ${title} was applied.`);
    const wasDirty = files.isDirty(id);
    files.edit(id, reviewedText(review, 'rejected'));
    const count = `${nAccepted} of ${review.changes.length} ${review.changes.length === 1 ? 'change' : 'changes'}`;
    const state = wasDirty ? 'Not saved, as it was not before.' : await this.#saveAndCompare(id);
    if (state === null) return;
    onNote(`${count} applied to ${title}. ${state}`, {
      label: 'Undo',
      run: () => void this.#revert(id, before, wasDirty),
    });
  }

  /** @return a sentence for the user; null if it failed, which was told */
  async #saveAndCompare(id: string): Promise<string | null> {
    const { files, onError } = this.#deps;
    try {
      if (!(await files.save(id))) return 'Not saved.';
      const [here, onDisk] = [files.text(id), await files.readDisk(id)];
      if (here === onDisk) return 'Saved and compared with the disk.';
      onError({
        code: 'IO_ERROR',
        message: `${files.title(id)} was saved, but the disk holds another text than the editor.`,
        hint: 'Another program may have written it at the same moment. Compare before you go on.',
      });
    } catch (error) {
      onError(toErrorInfo(error));
    }
    return null;
  }

  async #revert(id: string, before: string, wasDirty: boolean): Promise<void> {
    const { files } = this.#deps;
    if (files.text(id) === null) return;
    files.edit(id, before);
    if (!wasDirty) await files.save(id);
  }

  #set(id: string, active: ActiveReview | undefined): void {
    this.store.setState(({ reviews }) => {
      const { [id]: _before, ...others } = reviews;
      return { reviews: active ? { ...others, [id]: active } : others };
    });
  }
}
