// Parts of other files for the prompt: what the user looked at or changed lately, what the file imports, and what looks
// like the place of the cursor. They change when the user goes to another file, or to another place in this one, and not
// with every key, so that the engine reads them once.
import type { WorkspaceApi } from '../../../electron/common/api.ts';
import { partFrom, partLines } from '../../../electron/common/context-part.ts';
import { importedPaths } from '../../lib/imports.ts';
import { outline } from '../../lib/outline.ts';

export interface ContextFile {
  path: string;
  text: string;
}

const kMostParts = 16;
/** Of all parts together: about 1,800 tokens, which a small model on two cores reads in a pause for thought. */
const kMostChars = 6000;
const kMostImports = 4;
const kMostDeclarations = 40;
/** Parts that share more of their lines are the same part, a little later. */
const kSameLines = 0.9;
/** A part that is mostly in another one tells little besides. */
const kMostlySameLines = 0.5;
/** Enough to tell what a place is about. */
const kLikeChars = 2000;
/** A file that was read for its declarations is read again after this time. */
const kFreshMs = 60_000;

export class ContextFiles {
  readonly #workspace: Pick<WorkspaceApi, 'read' | 'similar'>;
  readonly #nowMs: () => number;
  /** Oldest first. */
  #parts: ContextFile[] = [];
  readonly #declarations = new Map<string, { atMs: number; text: string }>();
  #imported: { path: string; files: ContextFile[] } = { path: '', files: [] };
  #similar: { path: string; part: ContextFile | null } = { path: '', part: null };
  #look = new AbortController();

  constructor(workspace: Pick<WorkspaceApi, 'read' | 'similar'>, nowMs: () => number) {
    this.#workspace = workspace;
    this.#nowMs = nowMs;
  }

  /** The user leaves a file, or saves it: what is around `line` was on the mind. */
  seen(path: string, text: string, line: number): void {
    const part = { path, text: partAround(text, line) };
    if (part.text.trim() === '') return;
    const others = this.#parts.filter((old) => old.path !== path || shareOfLines(old.text, part.text) < kSameLines);
    this.#parts = [...others, part].slice(-kMostParts);
  }

  /** Reads what the file imports. Call it when the file is shown; until it is done `for` goes without. */
  async enter(path: string, text: string, languageId: string): Promise<void> {
    const candidates = importedPaths(path, text, languageId);
    const files: ContextFile[] = [];
    for (const alternatives of candidates) {
      if (files.length >= kMostImports) break;
      const found = await this.#declarationsOf(alternatives);
      if (found) files.push(found);
    }
    this.#imported = { path, files };
  }

  /**
   * Looks for what is like the text before the cursor, and that behind it as far as there is less. Call it when the cursor
   * comes to another place, and settles there; a call that is followed by another one finds nothing.
   */
  async look(path: string, { prefix, suffix }: { prefix: string; suffix: string }): Promise<void> {
    this.#look.abort();
    this.#look = new AbortController();
    const { signal } = this.#look;
    const before = prefix.slice(-kLikeChars);
    const text = (before + suffix.slice(0, kLikeChars - before.length)).toWellFormed();
    // No reason to say anything: a prompt does without.
    const { part } = await this.#workspace.similar({ path, text }, { signal }).catch(() => ({ part: null }));
    if (!signal.aborted) this.#similar = { path, part };
  }

  /** For the prompt of a file: imports first, then what was seen, oldest first, then what is like the cursor's place. */
  for(path: string): ContextFile[] {
    let nLeft = kMostChars;
    const fits = ({ text }: ContextFile) => {
      nLeft -= text.length;
      return nLeft >= 0;
    };
    const similar = (this.#similar.path === path && this.#similar.part ? [this.#similar.part] : []).filter(fits);
    const imported = (this.#imported.path === path ? this.#imported.files : []).filter(fits);
    const isNew = (part: ContextFile) =>
      part.path !== path &&
      !similar.some((other) => other.path === part.path && shareOfLines(other.text, part.text) >= kMostlySameLines);
    const parts = this.#parts.filter(isNew).reverse().filter(fits);
    return [...imported, ...parts.reverse(), ...similar];
  }

  /** Another folder is open. */
  clear(): void {
    this.#parts = [];
    this.#declarations.clear();
    this.#imported = { path: '', files: [] };
    this.#look.abort();
    this.#similar = { path: '', part: null };
  }

  async #declarationsOf(alternatives: readonly string[]): Promise<ContextFile | null> {
    for (const path of alternatives) {
      const known = this.#declarations.get(path);
      if (known && this.#nowMs() - known.atMs < kFreshMs) return known.text === '' ? null : { path, text: known.text };
      try {
        const { text } = await this.#workspace.read({ path });
        const lines = text.split('\n');
        const shown = outline(text, languageOfPath(path)).slice(0, kMostDeclarations);
        const declarations = shown.map(({ line }) => (lines[line - 1] ?? '').trimEnd()).join('\n');
        this.#declarations.set(path, { atMs: this.#nowMs(), text: declarations });
        return declarations === '' ? null : { path, text: declarations };
      } catch {
        // Not this spelling of the path; a file that is gone or cannot be read tells nothing.
      }
    }
    return null;
  }
}

/** Whole lines around `line` (from 1). */
export function partAround(text: string, line: number): string {
  const lines = text.split('\n');
  return partFrom(lines, Math.max(0, Math.min(line - 1 - partLines / 2, lines.length - partLines)));
}

/** Of the lines of both, the share that both have (Jaccard). */
export function shareOfLines(a: string, b: string): number {
  const [left, right] = [new Set(a.split('\n')), new Set(b.split('\n'))];
  const nShared = [...left].filter((line) => right.has(line)).length;
  return nShared / (left.size + right.size - nShared);
}

/** Only what `outline` tells apart. */
function languageOfPath(path: string): string {
  return /\.mdx?$/.test(path) ? 'markdown' : 'plaintext';
}
