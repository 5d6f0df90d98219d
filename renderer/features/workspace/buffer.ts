// What the window knows of one open text besides the text itself, which the text store holds.
import type { ErrorInfo } from '../../../electron/common/errors.ts';
import type { WorkspaceFile } from '../../../electron/common/workspace-contract.ts';
import { baseName, shownName } from '../../lib/paths.ts';

export interface Buffer {
  id: string;
  /** Null for a text that was never saved. */
  path: string | null;
  title: string;
  languageId: string;
  encoding: WorkspaceFile['encoding'];
  eol: WorkspaceFile['eol'];
  isReadOnly: boolean;
  /** The version on disk that the text was read from or written as; null if there is none. */
  version: string | null;
  /** `unread`: a restored tab that was not looked at yet. */
  status: 'unread' | 'reading' | 'ready' | 'failed';
  /** Why it could not be read. */
  error: ErrorInfo | null;
  isDirty: boolean;
  isSaving: boolean;
  /** Why the last save failed; the text is still here. */
  saveError: ErrorInfo | null;
  /** What happened on disk under unsaved changes. */
  disk: 'same' | 'changed' | 'deleted';
}

export function newBuffer(id: string, path: string | null, title: string): Buffer {
  return {
    id,
    path,
    title,
    languageId: 'plaintext',
    encoding: 'utf8',
    eol: 'none',
    isReadOnly: false,
    version: null,
    status: path === null ? 'ready' : 'unread',
    error: null,
    isDirty: false,
    isSaving: false,
    saveError: null,
    disk: 'same',
  };
}

/** "Untitled-1", "Untitled-2": the first number that no open buffer has. */
export function untitledTitle(buffers: readonly Buffer[]): string {
  const taken = new Set(buffers.map((buffer) => buffer.title));
  let number = 1;
  while (taken.has(`Untitled-${number}`)) number += 1;
  return `Untitled-${number}`;
}

/** Titles of tabs: the name, with the folder added where two open files share it. */
export function tabLabels(buffers: readonly Buffer[]): Map<string, { name: string; folder: string | null }> {
  const count = new Map<string, number>();
  for (const { title } of buffers) count.set(title, (count.get(title) ?? 0) + 1);
  return new Map(
    buffers.map(({ id, title, path }) => {
      const isShared = (count.get(title) ?? 0) > 1 && path !== null;
      const parent = isShared ? path.slice(0, Math.max(0, path.length - title.length - 1)) : '';
      return [id, { name: shownName(title), folder: isShared ? shownName(baseName(parent)) || '.' : null }];
    }),
  );
}
