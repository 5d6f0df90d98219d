// Replacing in many files, and taking it back. A file that is open is changed in the editor, as one step that can be
// undone there, too; the others are written on disk. A file that is not as it was when it was searched is left alone.
import type { WorkspaceApi } from '../../../electron/common/api.ts';
import { toErrorInfo } from '../../../electron/common/error-info.ts';
import type { FileMatches } from '../../../electron/common/search-contract.ts';
import { replaceMatches } from '../../lib/replace-matches.ts';

/** The texts that are open in the editor, by path. */
export interface OpenTexts {
  /** Null for a file that is not open. */
  textOf: (path: string) => string | null;
  /** Changes the text, and saves it unless there were unsaved changes before. @return whether it is as asked */
  replace: (path: string, text: string) => Promise<boolean>;
}

interface Replaced {
  path: string;
  before: string;
  after: string;
}

export interface ReplaceResult {
  nMatches: number;
  done: readonly Replaced[];
  /** Files that were left alone, each with the reason. */
  skipped: readonly { path: string; reason: string }[];
}

type Disk = Pick<WorkspaceApi, 'read' | 'write'>;

export async function replaceInFiles(
  files: readonly FileMatches[],
  disk: Disk,
  open: OpenTexts,
): Promise<ReplaceResult> {
  const done: Replaced[] = [];
  const skipped: { path: string; reason: string }[] = [];
  let nMatches = 0;
  for (const { path, matches } of files) {
    const edits = matches.map((match) => ({ ...match, replacement: match.replacement ?? '' }));
    try {
      const replaced = await change(path, (text) => replaceMatches(text, edits), disk, open);
      if (replaced === null) skipped.push({ path, reason: `${path} changed since the search.` });
      else {
        done.push(replaced);
        nMatches += matches.length;
      }
    } catch (error) {
      skipped.push({ path, reason: toErrorInfo(error).message });
    }
  }
  return { nMatches, done, skipped };
}

/** @returns the files that could not be taken back, because they were changed again or cannot be written */
export async function undoReplace(done: readonly Replaced[], disk: Disk, open: OpenTexts): Promise<string[]> {
  const kept: string[] = [];
  for (const { path, before, after } of done) {
    const back = await change(path, (text) => (text === after ? before : null), disk, open).catch(() => null);
    if (back === null) kept.push(path);
  }
  return kept;
}

/** @param edit gives the new text, or null to leave the file alone */
async function change(
  path: string,
  edit: (text: string) => string | null,
  disk: Disk,
  open: OpenTexts,
): Promise<Replaced | null> {
  const shown = open.textOf(path);
  if (shown !== null) {
    const after = edit(shown);
    if (after === null || !(await open.replace(path, after))) return null;
    // As the editor keeps it: it knows one kind of line ending per text.
    return { path, before: shown, after: open.textOf(path) ?? after };
  }
  const { text: before, encoding, version } = await disk.read({ path });
  const after = edit(before);
  if (after === null) return null;
  await disk.write({ path, text: after, encoding, version });
  return { path, before, after };
}
