// What goes into the chat from the rest of the window, and out of it into a file.
import { attach } from '../features/chat/attachments.ts';
import { exportConversation } from '../features/chat/export.ts';
import { unifiedDiff } from '../lib/line-diff.ts';
import { declarationAround } from '../lib/outline.ts';
import type { AppModel } from './app-model.ts';
import { onceThere } from './focus.ts';

const kMostFolderPaths = 20_000;

/** Shows the chat, with the cursor in the next question. */
export function focusChat(model: AppModel): void {
  model.ui.setState({ isChatShown: true, isConversationListShown: false });
  onceThere(
    () => model.chatInput,
    (input) => input.focus(),
  );
}

/** Puts something into the next question: the active text, or a part of it, or what changed in it. */
export async function attachActive(model: AppModel, kind: 'file' | 'selection' | 'symbol' | 'diff'): Promise<void> {
  const { draft, notifications } = model;
  const buffer = model.buffers.active;
  if (buffer?.status !== 'ready') return;
  const name = buffer.path ?? buffer.title;
  const text = model.texts.text(buffer.id);
  if (kind === 'file') draft.attach(attach('file', name, text));
  else if (kind === 'selection') {
    const selection = model.editor?.selection();
    if (!selection) return void notifications.note('Select a part of the text first.');
    const { startLine, endLine } = selection.range;
    draft.attach(attach('selection', `${name}:${startLine}-${endLine}`, selection.text));
  } else if (kind === 'symbol') {
    const found = declarationAround(text, buffer.languageId, model.ui.getState().cursor.line);
    if (!found) return void notifications.note('The cursor is in no function, type or section.');
    draft.attach(attach('symbol', `${found.name} (${name}:${found.startLine})`, found.text));
  } else {
    await model.attempt(async () => {
      const before = await textBefore(model, buffer.path);
      if (before === text) return void notifications.note(`${buffer.title} has no changes.`);
      draft.attach(attach('diff', name, unifiedDiff(before, text)));
    });
  }
  focusChat(model);
}

/** What changes are told against: the last commit, or what is on disk of a file that is in none. */
async function textBefore({ api, git }: AppModel, path: string | null): Promise<string> {
  if (path === null) return '';
  const isInRepository = git.store.getState().status?.state === 'repository';
  const committed = isInRepository ? (await api.workspace.git.headText({ path })).text : null;
  return committed ?? (await api.workspace.read({ path })).text;
}

/** @param path of a file, or of a folder, which is attached as the list of what is in it */
export async function attachPath(model: AppModel, path: string, isFolder: boolean): Promise<void> {
  const { draft, api } = model;
  await model.attempt(async () => {
    if (isFolder) {
      const { paths } = await api.workspace.findFiles({ limit: kMostFolderPaths, below: path });
      draft.attach(attach('folder', path, paths.join('\n')));
    } else draft.attach(attach('file', path, (await api.workspace.read({ path })).text));
  });
  focusChat(model);
}

const kTerminalLines = 200;

/** What is selected in the active terminal, or else its last lines. */
export function attachTerminal(model: AppModel): void {
  const { terminals, draft, notifications } = model;
  const { active } = terminals;
  const text = active?.screen.text(kTerminalLines) ?? '';
  if (active === null || text === '') {
    notifications.note('The terminal shows nothing yet.');
    return;
  }
  draft.attach(attach('terminal', active.title, text));
  focusChat(model);
}

/** Saves the shown conversation where the user says. */
export async function exportChat(model: AppModel, format: 'markdown' | 'json'): Promise<void> {
  const state = model.chat.store.getState();
  const exported = state.conversationId && exportConversation(state, state.conversationId, format);
  if (!exported) return;
  await model.attempt(async () => {
    const saved = await model.api.app.shell.saveText(exported);
    if (saved) model.notifications.note(`Saved as ${saved.path}.`);
  });
}
