// The part of another file that looks most like what is being written: code that does nearly the same is often near by,
// and shows a model the names and the manner of this folder. Windows of lines are compared by the identifiers that they
// share, as Copilot compares neighbouring files (../shared/research/app.md).
import { readdir, stat } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { partFrom, partLines } from '../common/context-part.ts';
import { readTextFile } from './files.ts';
import { ignoredNames } from './listing.ts';
import { pathSegments, resolveInside } from './paths.ts';

/** Near by is what counts, and somebody is typing. */
const mostFiles = 200;
const mostDirectories = 400;
/** What is larger was seldom written by hand. */
const mostBytes = 256 * 1024;
const stepLines = partLines / 2;
/** Of identifiers that either has, the share that both have (Jaccard). Less is what any two files of a language share. */
const leastShare = 0.1;

export interface SimilarPart {
  path: string;
  text: string;
}

/** Identifiers by their hashes, sorted, each once. */
type Identifiers = Uint32Array;

interface Windows {
  mtimeMs: number;
  /** Of the windows that begin with each `stepLines`-th line. */
  identifiers: Identifiers[];
}

export class SimilarParts {
  /** By path, the one that was asked for last at the end; of one root. */
  readonly #windows = new Map<string, Windows>();
  #root = '';

  /**
   * @param root absolute, as `realpath` gives it
   * @param question where `text` is, the end of what stands before the cursor
   * @return null if no other file of its language has anything like it
   * @throws OUTSIDE_WORKSPACE; what the signal was aborted with
   */
  async find(
    root: string,
    { path, text }: { path: string; text: string },
    signal?: AbortSignal,
  ): Promise<SimilarPart | null> {
    if (root !== this.#root) this.#windows.clear();
    this.#root = root;
    const wanted = identifiersOf(text);
    let best = { share: leastShare, path: '', window: -1 };
    for (const other of await filesNear(root, path, signal)) {
      signal?.throwIfAborted();
      const windows = await this.#windowsOf(root, other);
      for (const [window, identifiers] of windows.entries()) {
        const share = shareOf(wanted, identifiers);
        if (share > best.share) best = { share, path: other, window };
      }
    }
    if (best.window < 0) return null;
    const lines = await readLines(root, best.path);
    const part = partFrom(lines, best.window * stepLines);
    return part.trim() === '' ? null : { path: best.path, text: part };
  }

  async #windowsOf(root: string, path: string): Promise<Identifiers[]> {
    const info = await stat(join(root, path)).catch(() => null);
    if (info === null || info.size > mostBytes) return [];
    const known = this.#windows.get(path);
    this.#windows.delete(path);
    const fresh =
      known?.mtimeMs === info.mtimeMs
        ? known
        : { mtimeMs: info.mtimeMs, identifiers: windowsOf(await readLines(root, path)) };
    this.#windows.set(path, fresh);
    for (const old of this.#windows.keys()) {
      if (this.#windows.size <= 2 * mostFiles) break;
      this.#windows.delete(old);
    }
    // A file at a time: what the user waits for goes first.
    if (fresh !== known) await setImmediate();
    return fresh.identifiers;
  }
}

/** None of a file that is gone, is no text, or may not be read. */
async function readLines(root: string, path: string): Promise<string[]> {
  const file = await readTextFile(root, path).catch(() => null);
  return file === null ? [] : file.text.split(/\r?\n/);
}

function windowsOf(lines: readonly string[]): Identifiers[] {
  const windows = [];
  for (let from = 0; from < lines.length; from += stepLines) {
    windows.push(identifiersOf(partFrom(lines, from)));
    if (from + partLines >= lines.length) break;
  }
  return windows;
}

/** Of three characters and more: shorter ones are everywhere. */
function identifiersOf(text: string): Identifiers {
  const names = new Set(text.match(/[\p{L}_$][\p{L}\p{M}\p{N}_$]{2,}/gu));
  return Uint32Array.from(names, hash).sort();
}

/** FNV-1a over UTF-16 units. */
function hash(name: string): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < name.length; i++) value = Math.imul(value ^ name.charCodeAt(i), 0x01000193);
  return value >>> 0;
}

function shareOf(a: Identifiers, b: Identifiers): number {
  let nShared = 0;
  for (let i = 0, j = 0; i < a.length && j < b.length; ) {
    const [left, right] = [a[i] as number, b[j] as number];
    if (left === right) nShared++;
    if (left <= right) i++;
    if (right <= left) j++;
  }
  const nEither = a.length + b.length - nShared;
  return nEither === 0 ? 0 : nShared / nEither;
}

/** Languages that are written in one file and used from another. */
const families = [
  ['ts', 'tsx', 'mts', 'cts', 'js', 'jsx', 'mjs', 'cjs'],
  ['c', 'cc', 'cpp', 'cxx', 'h', 'hh', 'hpp', 'hxx', 'cu', 'cuh'],
  ['py', 'pyi'],
];

function endingOf(name: string): string {
  return extname(name).slice(1).toLowerCase();
}

/**
 * Other files of the language of `path`: of its folder, below that, of the folder above and so on. Links are not followed.
 * @throws OUTSIDE_WORKSPACE; what the signal was aborted with
 */
async function filesNear(root: string, path: string, signal: AbortSignal | undefined): Promise<string[]> {
  const folders = pathSegments(path).slice(0, -1);
  await resolveInside(root, folders.join('/'));
  const ending = endingOf(path);
  const endings = families.find((family) => family.includes(ending)) ?? (ending === '' ? [] : [ending]);
  const found: string[] = [];
  const visited = new Set<string>();
  for (let depth = folders.length; depth >= 0 && endings.length > 0; depth--) {
    const waiting = [folders.slice(0, depth).join('/')];
    for (let folder = waiting.shift(); folder !== undefined; folder = waiting.shift()) {
      if (visited.has(folder)) continue;
      if (visited.size === mostDirectories) return found;
      visited.add(folder);
      signal?.throwIfAborted();
      const entries = await readdir(join(root, folder), { withFileTypes: true }).catch(() => []);
      for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
        if (ignoredNames.has(entry.name)) continue;
        const child = folder === '' ? entry.name : `${folder}/${entry.name}`;
        if (entry.isDirectory()) waiting.push(child);
        else if (entry.isFile() && child !== path && endings.includes(endingOf(entry.name))) {
          if (found.push(child) === mostFiles) return found;
        }
      }
    }
  }
  return found;
}
