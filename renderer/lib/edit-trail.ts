// What the user changed in one text, and where the same change is due next: the other uses of a name that was changed
// at its declaration, and what looks like two places that were changed alike. Certain candidates only; no model is asked.
import { isNameLetter, isPartOfName, nameAt, occurrences } from './identifiers.ts';
import { staleUses } from './renamed-name.ts';

/** One step of typing. Offsets are those of the text before it. */
export interface TextStep {
  offset: number;
  nRemoved: number;
  inserted: string;
}

/** A replacement that is due. Offsets are those of the text now. */
export interface NextEdit {
  offset: number;
  from: string;
  to: string;
}

interface Changed {
  /** Where it stands now. */
  offset: number;
  from: string;
  to: string;
}

/** Shorter pieces are alike by chance. */
const kFewestAlike = 3;
const kMostRemembered = 20;

export class EditTrail {
  /** The word that is being changed, or was last. `from` is empty for a new one. */
  #word: Changed | null = null;
  /** The line that is being changed, with its text before. */
  #line: { start: number; before: string } | null = null;
  /** Pieces that were changed, oldest first. */
  #made: { from: string; to: string }[] = [];
  #isFresh = false;
  #dismissed = new Set<string>();

  /** Whether the last step belongs to the change that is proposed elsewhere: its proposal goes before others. */
  get isFresh(): boolean {
    return this.#isFresh;
  }

  changed(before: string, after: string, step: TextStep): void {
    this.#isFresh = this.#followWord(before, after, step);
    this.#followLine(before, after, step);
  }

  /** Something that is not a step of typing happened. */
  reset(): void {
    this.#word = null;
    this.#line = null;
    this.#made = [];
    this.#isFresh = false;
  }

  /** The user does not want this change to go on. */
  dismiss({ from, to }: NextEdit): void {
    this.#dismissed.add(`${from}\n${to}`);
  }

  /** The next place after the cursor, around the end of the text; null if there is none. */
  next(text: string, cursor: number): NextEdit | null {
    const uses = this.#staleUses(text);
    if (uses === null || this.#word === null) return this.#alike(text, cursor);
    // A name of a scope stays in it, however many of its places are changed.
    return this.#nearest(uses, cursor, this.#word.from, this.#word.to);
  }

  #staleUses(text: string): number[] | null {
    if (this.#word === null) return null;
    const { offset, from, to } = this.#word;
    // What stands there now may be something else.
    return nameAt(text, offset).name === to ? staleUses(text, offset, from, to) : null;
  }

  /** The user made the same change twice. */
  #alike(text: string, cursor: number): NextEdit | null {
    const current = this.#current(text);
    const last = current ?? this.#made.at(-1);
    if (last === undefined) return null;
    const others = this.#made.filter(({ from, to }) => from === last.from && to === last.to).length;
    if (others + (current === null ? 0 : 1) < 2) return null;
    const { from, to } = last;
    // Not inside of what was made from it: `a` in `f(a)`.
    const inTo = occurrences(to, from);
    const isMade = (at: number) => inTo.some((shift) => text.startsWith(to, at - shift));
    return this.#nearest(
      occurrences(text, from).filter((at) => !isMade(at)),
      cursor,
      from,
      to,
    );
  }

  #nearest(places: readonly number[], cursor: number, from: string, to: string): NextEdit | null {
    if (this.#dismissed.has(`${from}\n${to}`)) return null;
    const offset = places.find((at) => at >= cursor) ?? places[0];
    return offset === undefined ? null : { offset, from, to };
  }

  /** @return whether the step goes on with a word that has other uses, or may have them */
  #followWord(before: string, after: string, { offset, nRemoved, inserted }: TextStep): boolean {
    const removed = before.slice(offset, offset + nRemoved);
    const word = this.#word;
    if (word && offset >= word.offset && offset + nRemoved <= word.offset + word.to.length && isPartOfName(inserted)) {
      const at = offset - word.offset;
      word.to = word.to.slice(0, at) + inserted + word.to.slice(at + nRemoved);
      return word.from !== '';
    }
    const old = nameAt(before, offset);
    // The same change at another place: a proposal that was accepted, or the user does it.
    if (word && old.name === word.from && word.from !== '' && nameAt(after, old.start).name === word.to) {
      if (old.start < word.offset) word.offset += inserted.length - nRemoved;
      return true;
    }
    if (!isPartOfName(inserted) || !isPartOfName(removed)) {
      // Other text; the word stays where it is, or is gone.
      if (word && offset + nRemoved <= word.offset) word.offset += inserted.length - nRemoved;
      else if (word && offset < word.offset + word.to.length) this.#word = null;
      return false;
    }
    this.#word = { offset: old.start, from: old.name, to: nameAt(after, old.start).name };
    this.#dismissed.clear();
    return old.name !== '';
  }

  #followLine(before: string, after: string, { offset, nRemoved, inserted }: TextStep): void {
    const removed = before.slice(offset, offset + nRemoved);
    const start = before.lastIndexOf('\n', offset - 1) + 1;
    if (removed.includes('\n') || inserted.includes('\n')) {
      this.#endLine(before);
      return;
    }
    if (this.#line?.start !== start) {
      this.#endLine(before);
      this.#line = { start, before: lineAt(before, start) };
    }
    if (lineAt(after, start) === this.#line?.before) this.#line = null;
  }

  #endLine(text: string): void {
    const piece = this.#current(text);
    if (piece) this.#made = [...this.#made, piece].slice(-kMostRemembered);
    this.#line = null;
  }

  #current(text: string): { from: string; to: string } | null {
    return this.#line === null ? null : changedPiece(this.#line.before, lineAt(text, this.#line.start));
  }
}

function lineAt(text: string, start: number): string {
  const end = text.indexOf('\n', start);
  return text.slice(start, end < 0 ? text.length : end);
}

/** What of a line was changed, in whole words; null for what is too small to be known again. */
export function changedPiece(before: string, after: string): { from: string; to: string } | null {
  let start = 0;
  while (start < before.length && before[start] === after[start]) start += 1;
  let end = 0;
  const most = Math.min(before.length, after.length) - start;
  while (end < most && before.at(-1 - end) === after.at(-1 - end)) end += 1;
  const cutsWord = (text: string, at: number) => isNameLetter(text.charAt(at - 1)) && isNameLetter(text.charAt(at));
  while (start > 0 && (cutsWord(before, start) || cutsWord(after, start))) start -= 1;
  while (end > 0 && (cutsWord(before, before.length - end) || cutsWord(after, after.length - end))) end -= 1;
  const from = before.slice(start, before.length - end);
  const to = after.slice(start, after.length - end);
  return from.trim().length < kFewestAlike || from === to ? null : { from, to };
}
