// What the window does with open texts for its other parts: show a place, apply code of a reply, replace what was found.
import type { FileMatches } from '../../electron/common/search-contract.ts';
import type { TextRange } from '../editor/editor-handle.ts';
import { targetPath } from '../features/chat/code-target.ts';
import type { ReviewedFiles } from '../features/review/review-store.ts';
import { type OpenTexts, replaceInFiles, undoReplace } from '../features/search/replace.ts';
import type { Place } from '../features/workspace/quick-open.tsx';
import { type OutlineSymbol, outline } from '../lib/outline.ts';
import { proposeText } from '../lib/propose-text.ts';
import type { AppModel } from './app-model.ts';
import { focusEditor } from './focus.ts';

/** About a second: longer than a large file takes to be drawn. */
const kMostFrames = 60;

/** Opens a file and selects a part of it, as soon as the editor shows it. */
export async function showInFile(model: AppModel, path: string, range: TextRange): Promise<void> {
  const { buffers } = model;
  await buffers.open(path);
  const id = buffers.byPath(path)?.id;
  // The editor is drawn some frames later; a file that cannot be read never is.
  for (let i = 0; i < kMostFrames && id !== undefined; i++) {
    if (buffers.store.getState().activeId !== id || model.editor?.select(id, range)) return;
    await new Promise((resolve) => requestAnimationFrame(resolve));
  }
}

/** @return whether a key or a click moved the focus while `work` went on */
async function movesFocus(work: () => Promise<void>): Promise<boolean> {
  let focused: Element | null = null;
  const onInput = () => {
    focused ??= document.activeElement;
  };
  const types = ['keydown', 'pointerdown'];
  for (const type of types) addEventListener(type, onInput, { capture: true });
  try {
    await work();
    return focused !== null && document.activeElement !== focused && document.activeElement !== document.body;
  } finally {
    for (const type of types) removeEventListener(type, onInput, { capture: true });
  }
}

/** Goes to a file, or to a line of it or of the active text. */
export async function goTo(model: AppModel, { path, line, column }: Place): Promise<void> {
  const target = path ?? model.buffers.active?.path;
  if (line === null || target === undefined) {
    // A file can take a moment to open: whoever went on to something else meanwhile stays there.
    const hasMoved = path !== null && (await movesFocus(() => model.buffers.open(path)));
    return hasMoved ? undefined : focusEditor(model);
  }
  const range = { startLine: line, startColumn: column, endLine: line, endColumn: column };
  const { activeId } = model.buffers.store.getState();
  if (target !== null) await showInFile(model, target, range);
  else if (activeId !== null) model.editor?.select(activeId, range);
}

/** Opens a file beside what the last commit has of it. */
export async function compareWithCommit({ buffers, git, notifications }: AppModel, path: string): Promise<void> {
  await buffers.open(path);
  const buffer = buffers.byPath(path);
  if (buffer?.status === 'ready') return git.compare(buffer.id, path);
  if (buffer?.status === 'failed') {
    buffers.discard(buffer.id);
    notifications.note(`${path} is not there to compare.`);
  }
}

/** The names that the active text declares. */
export function activeSymbols({ buffers, texts }: AppModel): OutlineSymbol[] {
  const { active } = buffers;
  return active?.status === 'ready' ? outline(texts.text(active.id), active.languageId) : [];
}

/**
 * Shows what a piece of code would change in the file that it names, or in the active one.
 * @param label the words after the fence
 */
export async function applyCode(model: AppModel, code: string, label: string): Promise<void> {
  const { buffers, texts, notifications } = model;
  const named = targetPath(code, label);
  const before = buffers.active;
  if (named !== null && model.workspace.getState().workspace !== null) {
    await buffers.open(named);
    const opened = buffers.byPath(named);
    if (opened?.status === 'failed') {
      buffers.discard(opened.id);
      if (before) await buffers.activate(before.id);
    }
  }
  const buffer = buffers.active;
  if (buffer?.status !== 'ready') {
    notifications.note('Open the file that the code is for, then apply it.');
    return;
  }
  const line = buffer.id === before?.id ? model.ui.getState().cursor.line - 1 : 0;
  const { text } = proposeText(texts.text(buffer.id), code, buffer.languageId, line);
  if (!model.reviews.start(buffer.id, text)) notifications.note(`${buffer.title} has this code already.`);
}

export function reviewedFiles({ buffers, texts, api }: Pick<AppModel, 'buffers' | 'texts' | 'api'>): ReviewedFiles {
  return {
    text: (id) => (buffers.get(id)?.status === 'ready' ? texts.text(id) : null),
    isDirty: (id) => buffers.get(id)?.isDirty ?? false,
    title: (id) => buffers.get(id)?.title ?? 'The file',
    edit: (id, text) => texts.edit(id, text),
    save: async (id) => buffers.get(id)?.path !== null && buffers.save(id),
    readDisk: async (id) => {
      const path = buffers.get(id)?.path;
      return path ? (await api.workspace.read({ path })).text : null;
    },
  };
}

/** Replaces what a search found; the note that follows takes it back. */
export async function replaceFound(model: AppModel, files: readonly FileMatches[]): Promise<void> {
  const { api, notifications, search } = model;
  const root = model.workspace.getState().workspace?.root;
  const { done, skipped, nMatches } = await replaceInFiles(files, api.workspace, openTexts(model));
  await search.run();
  const [first] = skipped;
  if (first) {
    const more = skipped.length > 1 ? ` So were ${skipped.length - 1} other files.` : '';
    notifications.error({ code: 'FILE_CHANGED_ON_DISK', message: `${first.reason} It was left alone.${more}` });
  }
  if (done.length === 0) return;
  const undo = async () => {
    // The paths mean other files in another folder.
    if (model.workspace.getState().workspace?.root !== root) return;
    const kept = await undoReplace(done, api.workspace, openTexts(model));
    await search.run();
    if (kept.length === 0) return;
    const message = `${kept.join(', ')} changed again and kept the replacement.`;
    notifications.error({ code: 'FILE_CHANGED_ON_DISK', message });
  };
  notifications.note(`Replaced ${nMatches} in ${done.length} ${done.length === 1 ? 'file' : 'files'}.`, {
    label: 'Undo',
    run: () => void undo(),
  });
}

function openTexts({ buffers, texts }: AppModel): OpenTexts {
  return {
    textOf: (path) => {
      const buffer = buffers.byPath(path);
      return buffer?.status === 'ready' ? texts.text(buffer.id) : null;
    },
    replace: async (path, text) => {
      const buffer = buffers.byPath(path);
      if (buffer?.status !== 'ready') return false;
      texts.edit(buffer.id, text);
      return buffer.isDirty || buffers.save(buffer.id);
    },
  };
}
