// Proposes the edit that likely comes next, elsewhere in the text: first what follows from the user's own change
// (lib/edit-trail.ts), and where there is nothing of that, a line with an error that the model would write otherwise.
import type { NextEditor } from '../../editor/inline-completions.ts';
import type { TextEdit } from '../../editor/monaco-text-store.ts';
import { EditTrail, type NextEdit } from '../../lib/edit-trail.ts';
import { pause } from './pause.ts';

export interface Problem {
  /** From 1. */
  line: number;
  message: string;
}

export interface NextEditsDeps {
  isOn: () => boolean;
  /** What a checker of the text's language says is wrong, in order. */
  problems: (bufferId: string) => readonly Problem[];
  /** What the model would write between two texts on one line; null for nothing. */
  writeLine: (
    place: { bufferId: string; prefix: string; suffix: string },
    signal: AbortSignal,
  ) => Promise<string | null>;
  /** For the status bar. */
  onProposed: () => void;
  onDone: () => void;
}

/** A name is rarely finished with a letter; a proposal that follows every one would flicker. */
const kAfterTypingMs = 250;
/** The checkers of the languages wait half a second themselves. */
const kForProblemsMs = 900;
/** Errors far from what was changed were there before, or come from something else. */
const kNearLines = 30;
const kMostTried = 100;

export class NextEdits implements NextEditor {
  readonly #deps: NextEditsDeps;
  #bufferId: string | null = null;
  #trail = new EditTrail();
  #text = '';
  #shown: NextEdit | null = null;
  /** Problems that the model was asked about. */
  #tried = new Set<string>();

  constructor(deps: NextEditsDeps) {
    this.#deps = deps;
  }

  edited({ id, before, after, step }: TextEdit): void {
    if (id !== this.#bufferId) {
      this.#bufferId = id;
      this.#trail = new EditTrail();
    }
    this.#text = after;
    if (step) this.#trail.changed(before, after, step);
    else this.#trail.reset();
  }

  isFresh(bufferId: string): boolean {
    return this.#deps.isOn() && bufferId === this.#bufferId && this.#trail.isFresh;
  }

  async next(bufferId: string, cursor: number, signal: AbortSignal): Promise<NextEdit | null> {
    if (!this.#deps.isOn() || bufferId !== this.#bufferId) return null;
    const edit = this.#trail.next(this.#text, cursor);
    if (edit === null) return null;
    await pause(kAfterTypingMs, signal);
    return this.#propose(edit);
  }

  async repair(bufferId: string, cursor: number, signal: AbortSignal): Promise<NextEdit | null> {
    if (!this.#deps.isOn() || bufferId !== this.#bufferId) return null;
    await pause(kForProblemsMs, signal);
    const text = this.#text;
    const cursorLine = text.slice(0, cursor).split('\n').length;
    const lines = text.split('\n');
    const problem = this.#deps.problems(bufferId).find(({ line, message }) => {
      const distance = Math.abs(line - cursorLine);
      return distance > 0 && distance <= kNearLines && !this.#tried.has(tryOf(message, lines[line - 1]));
    });
    const old = problem && lines[problem.line - 1];
    if (problem === undefined || old === undefined || old.trim() === '') return null;
    if (this.#tried.size >= kMostTried) this.#tried.clear();
    this.#tried.add(tryOf(problem.message, old));
    const lineStart = lines.slice(0, problem.line - 1).reduce((sum, { length }) => sum + length + 1, 0);
    const start = lineStart + old.length - old.trimStart().length;
    const end = lineStart + old.trimEnd().length;
    const written = await this.#deps.writeLine(
      { bufferId, prefix: text.slice(0, start), suffix: text.slice(end) },
      signal,
    );
    if (written === null || !isRepair(old.trim(), written.trim())) return null;
    return this.#propose({ offset: start, from: text.slice(start, end), to: written.trim() });
  }

  accepted(): void {
    this.#shown = null;
    this.#deps.onDone();
  }

  rejected(): void {
    if (this.#shown) this.#trail.dismiss(this.#shown);
    this.#shown = null;
    this.#deps.onDone();
  }

  #propose(edit: NextEdit): NextEdit {
    this.#shown = edit;
    this.#deps.onProposed();
    return edit;
  }
}

function tryOf(message: string, line = ''): string {
  return `${message}\n${line.trim()}`;
}

/** Whether a line is another one with something small changed: what is more than that is another thought. */
export function isRepair(before: string, after: string): boolean {
  if (before === after || after === '') return false;
  let start = 0;
  while (start < before.length && before[start] === after[start]) start += 1;
  let end = 0;
  const most = Math.min(before.length, after.length) - start;
  while (end < most && before.at(-1 - end) === after.at(-1 - end)) end += 1;
  return 2 * (start + end) >= Math.max(before.length, after.length);
}
