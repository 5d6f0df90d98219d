// Workspace search: one ripgrep process per search, its JSON turned into our events while it runs.
import { spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';
import type { Readable } from 'node:stream';
import { setTimeout } from 'node:timers/promises';
import { appError } from '../common/app-error.ts';
import { giveWayToAll } from '../common/give-way.ts';
import type { FileMatches, SearchEvent, SearchMatch, SearchQuery } from '../common/search-contract.ts';
import { ignoredNames } from './listing.ts';

/** More than anybody reads; the process is ended there. */
const mostMatches = 10_000;
/**
 * Of what ripgrep says about one line. It quotes the whole line and names each match in it: the whole program, where that
 * is on one line.
 */
const mostSaid = 64 * 1024 * 1024;
/** Of a match longer than this only the file is worth knowing: minified code on one line. */
const longestMatch = 2000;
const previewBefore = 60;
const previewLength = 240;
/**
 * Matches of one event at most, but for a file that has more; a smaller batch goes out when the process pauses. The
 * window takes an event in at one go, between two pictures.
 */
const batchMatches = 200;
/** From so many on nobody waits for the next ones: they leave the window time for keys. */
const matchesAtOnce = 1000;
const pauseMs = 8;

export function searchArguments(query: SearchQuery): string[] {
  const { pattern, isRegex, isCaseSensitive, isWholeWord, include, exclude, withIgnored, replacement } = query;
  return [
    '--json',
    '--no-config',
    '--no-messages',
    '--hidden',
    '--crlf',
    '--no-require-git',
    '--max-filesize=32M',
    // One processor is left to whoever types meanwhile.
    `--threads=${Math.max(1, availableParallelism() - 1)}`,
    isCaseSensitive ? '--case-sensitive' : '--ignore-case',
    ...(isRegex ? [] : ['--fixed-strings']),
    ...(isWholeWord ? ['--word-regexp'] : []),
    ...(withIgnored ? ['--no-ignore'] : [...ignoredNames].map((name) => `--glob=!**/${name}`)),
    '--glob=!**/.git',
    ...include.flatMap((glob) => globs(glob).map((one) => `--glob=${one}`)),
    ...exclude.flatMap((glob) => globs(glob).map((one) => `--glob=!${one}`)),
    ...(replacement === null
      ? []
      : [`--replace=${isRegex ? withBraces(replacement) : replacement.replaceAll('$', '$$$$')}`]),
    `--regexp=${pattern}`,
    '--',
    './',
  ];
}

/** `$1x` is the first group and an x, as in editors; to ripgrep it would be a group of the name "1x". */
function withBraces(replacement: string): string {
  return replacement.replace(/\$\$|\$(\d+|&)/g, (whole, group) => (group ? `\${${group === '&' ? 0 : group}}` : whole));
}

/** "src" means the folder and what is in it, anywhere; a path or a pattern means itself. */
function globs(glob: string): string[] {
  const bare = glob.replace(/^\.?\//, '').replace(/\/$/, '');
  const anchored = bare.includes('/') ? `/${bare}` : `**/${bare}`;
  return /[*?[{]/.test(bare) ? [anchored] : [anchored, `${anchored}/**`];
}

interface Line {
  type: string;
  data: {
    path?: Text;
    lines?: Text;
    line_number?: number | null;
    submatches?: { match: Text; replacement?: Text; start: number; end: number }[];
  };
}
/** ripgrep's `bytes` stand for text that is not UTF-8; the editor does not open such files. */
interface Text {
  text?: string;
}

/**
 * Ends the process when it is aborted, when the caller stops reading, and at the limit.
 * @param program ripgrep @param root absolute
 * @throws SEARCH_INVALID for a pattern or a glob that ripgrep does not understand
 */
export async function* search(
  program: string,
  root: string,
  query: SearchQuery,
  signal: AbortSignal | undefined,
): AsyncGenerator<SearchEvent, void, void> {
  signal?.throwIfAborted();
  const child = spawn(program, searchArguments(query), { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
  giveWayToAll(child.pid);
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  ended.catch(() => {}); // Awaited below, after the output.
  const stop = () => child.kill();
  signal?.addEventListener('abort', stop);
  let complaint = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    if (complaint.length < 4000) complaint += text;
  });
  let nMatches = 0;
  let isPartLeftOut = false;
  let batch: FileMatches[] = [];
  let nInBatch = 0;
  let file: FileMatches | null = null;
  try {
    for await (const text of lines(child.stdout)) {
      if (text === null) {
        isPartLeftOut = true;
        continue;
      }
      const { type, data } = JSON.parse(text) as Line;
      if (type === 'begin')
        file = data.path?.text === undefined ? null : { path: plainPath(data.path.text), matches: [] };
      else if (type === 'match' && file) {
        const found = toMatches(data, mostMatches - nMatches);
        nMatches += found.length;
        file.matches.push(...found);
      }
      const isFull = nMatches >= mostMatches;
      if ((type === 'end' || isFull) && file) {
        if (file.matches.length > 0) batch.push(file);
        nInBatch += file.matches.length;
        file = null;
      }
      if (nInBatch >= batchMatches || (nInBatch > 0 && child.stdout.readableLength === 0)) {
        yield { type: 'files', files: batch };
        batch = [];
        nInBatch = 0;
        if (nMatches > matchesAtOnce) await setTimeout(pauseMs, undefined, signal ? { signal } : {});
      }
      if (isFull) break;
    }
    if (batch.length > 0) yield { type: 'files', files: batch };
    const isFull = nMatches >= mostMatches;
    if (isFull) stop();
    const code = await ended;
    signal?.throwIfAborted();
    // With code 2 and nothing on stderr some file could not be read, which is no reason to show nothing.
    if (code === 2 && complaint !== '') throw invalid(complaint);
    yield { type: 'done', isTruncated: isFull || isPartLeftOut };
  } finally {
    signal?.removeEventListener('abort', stop);
    stop();
  }
}

/** Split at line feeds only: Node's own reader also splits at U+2028, which JSON may hold. Null for a line that is too long. */
async function* lines(stream: Readable): AsyncGenerator<string | null, void, void> {
  stream.setEncoding('utf8');
  // Joined when the line is whole: a line of megabytes comes in hundreds of pieces.
  let begun: string[] = [];
  let nBegun = 0;
  for await (const chunk of stream as AsyncIterable<string>) {
    for (let from = 0; ; ) {
      const end = chunk.indexOf('\n', from);
      const piece = chunk.slice(from, end < 0 ? undefined : end);
      nBegun += piece.length;
      if (nBegun <= mostSaid) begun.push(piece);
      else begun = [];
      if (end < 0) break;
      yield nBegun <= mostSaid ? begun.join('') : null;
      begun = [];
      nBegun = 0;
      from = end + 1;
    }
  }
}

function toMatches({ lines, line_number, submatches = [] }: Line['data'], most: number): SearchMatch[] {
  const line = lines?.text?.replace(/\r?\n$/, '');
  if (line === undefined || typeof line_number !== 'number') return [];
  const units = unitsOf(line);
  const matches: SearchMatch[] = [];
  for (const { match, replacement, start, end } of submatches) {
    if (matches.length === most) break;
    const [from, to] = [units(start), units(end)];
    const text = match.text ?? '';
    if (to > line.length || text.length > longestMatch) continue;
    const cut = Math.max(0, from - previewBefore);
    const preview = line.slice(cut, cut + previewLength).toWellFormed();
    matches.push({
      line: line_number,
      start: from,
      end: to,
      text,
      replacement: replacement?.text ?? null,
      preview,
      previewStart: from - cut,
    });
  }
  return matches;
}

/** From offsets in bytes, each not before the last one, to UTF-16 units. */
function unitsOf(line: string): (offset: number) => number {
  const bytes = Buffer.from(line);
  if (bytes.length === line.length) return (offset) => offset;
  let nBytes = 0;
  let nUnits = 0;
  return (offset) => {
    nUnits += bytes.toString('utf8', nBytes, offset).length;
    nBytes = offset;
    return nUnits;
  };
}

function plainPath(path: string): string {
  const plain = path.replace(/^\.[\\/]/, '');
  return process.platform === 'win32' ? plain.replaceAll('\\', '/') : plain;
}

function invalid(complaint: string) {
  const said = complaint.replace(/^rg: /, '').trim();
  const last =
    said
      .split('\n')
      .at(-1)
      ?.replace(/^error: /, '') ?? '';
  return appError('SEARCH_INVALID', `This cannot be searched for: ${last}.`, { detail: said });
}
