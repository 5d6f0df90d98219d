// All state of the window in one place, connected to the API and to each other. No React in here.
import { createStore, type StoreApi } from 'zustand/vanilla';
import type { Api } from '../../electron/common/api.ts';
import type { AppEvent, AppInfo, WorkspaceInfo } from '../../electron/common/app-contract.ts';
import { toErrorInfo } from '../../electron/common/error-info.ts';
import type { FileMatches } from '../../electron/common/search-contract.ts';
import type { EditorHandle, TextRange } from '../editor/editor-handle.ts';
import type { TextStore } from '../editor/text-store.ts';
import { attach } from '../features/chat/attachments.ts';
import { ChatStore } from '../features/chat/chat-store.ts';
import { targetPath } from '../features/chat/code-target.ts';
import { DraftStore } from '../features/chat/draft-store.ts';
import { exportConversation } from '../features/chat/export.ts';
import { toChatMessages } from '../features/chat/messages.ts';
import { CompletionStore } from '../features/completion/completion-store.ts';
import { ModelStore } from '../features/models/model-store.ts';
import { NetworkStore } from '../features/network/network-store.ts';
import { type ReviewedFiles, ReviewStore } from '../features/review/review-store.ts';
import { type OpenTexts, replaceInFiles, undoReplace } from '../features/search/replace.ts';
import { SearchStore } from '../features/search/search-store.ts';
import { SettingsStore } from '../features/settings/settings-store.ts';
import { Backups } from '../features/workspace/backups.ts';
import { BuffersStore } from '../features/workspace/buffers-store.ts';
import { FileOperations } from '../features/workspace/file-operations.ts';
import type { Place } from '../features/workspace/quick-open.tsx';
import { TreeStore } from '../features/workspace/tree-store.ts';
import { follow } from '../lib/follow.ts';
import { unifiedDiff } from '../lib/line-diff.ts';
import { type OutlineSymbol, outline } from '../lib/outline.ts';
import { proposeText } from '../lib/propose-text.ts';
import { NotificationsStore } from './notifications-store.ts';
import { SessionKeeper } from './session-keeper.ts';
import { createUiStore } from './ui-store.ts';

export interface AppModelDeps<Texts extends TextStore> {
  api: Api;
  info: AppInfo;
  texts: Texts;
  /** A command from the application menu. */
  onCommand: (command: string) => void;
}

export interface WorkspaceState {
  workspace: WorkspaceInfo | null;
  recent: readonly WorkspaceInfo[];
}

/** About a second: longer than a large file takes to be drawn. */
const kMostFrames = 60;
const kMostFolderPaths = 20_000;

export class AppModel<Texts extends TextStore = TextStore> {
  readonly api: Api;
  readonly texts: Texts;
  readonly info: AppInfo;
  readonly notifications = new NotificationsStore();
  readonly ui = createUiStore();
  readonly workspace: StoreApi<WorkspaceState>;
  readonly settings: SettingsStore;
  readonly models: ModelStore;
  readonly buffers: BuffersStore;
  readonly tree: TreeStore;
  readonly search: SearchStore;
  readonly operations: FileOperations;
  readonly reviews: ReviewStore;
  readonly chat: ChatStore;
  readonly draft: DraftStore;
  readonly network: NetworkStore;
  readonly completion: CompletionStore;
  /** The visible editor and chat input, for commands; null while they are not mounted. */
  editor: EditorHandle | null = null;
  chatInput: HTMLTextAreaElement | null = null;
  searchInput: HTMLInputElement | null = null;
  readonly #deps: AppModelDeps<Texts>;
  readonly #backups: Backups;
  readonly #session: SessionKeeper;

  constructor(deps: AppModelDeps<Texts>) {
    const { api, info, texts } = deps;
    this.#deps = deps;
    this.api = api;
    this.info = info;
    this.texts = texts;
    const onError = this.notifications.error.bind(this.notifications);
    this.workspace = createStore<WorkspaceState>(() => ({ workspace: info.workspace, recent: info.recentWorkspaces }));
    this.settings = new SettingsStore(info.settings, api.app.settings, onError);
    this.network = new NetworkStore(info.connections);
    this.models = new ModelStore({ engine: api.engine, app: api.app, onError });
    this.models.processChanged(info.processes.engine);
    this.buffers = new BuffersStore({ workspace: api.workspace, texts, newId: () => crypto.randomUUID() });
    this.tree = new TreeStore(api.workspace);
    this.search = new SearchStore(api.workspace);
    this.operations = new FileOperations({
      workspace: api.workspace,
      tree: this.tree,
      buffers: this.buffers,
      onNote: this.notifications.note.bind(this.notifications),
      onError,
    });
    this.reviews = new ReviewStore({
      files: this.#reviewedFiles(),
      onNote: this.notifications.note.bind(this.notifications),
      onError,
    });
    this.#backups = new Backups(api.app.backups, this.buffers, texts, onError);
    this.chat = new ChatStore({
      conversations: api.app.conversations,
      engine: api.engine,
      settings: () => this.settings.current,
      modelName: () => this.models.modelName,
      newId: () => crypto.randomUUID(),
      nowMs: () => Date.now(),
      schedule: (update) => requestAnimationFrame(update),
    });
    this.draft = new DraftStore({
      engine: api.engine,
      messages: () => toChatMessages(this.settings.current.systemPrompt, this.chat.shownMessages),
    });
    this.completion = new CompletionStore({
      engine: api.engine,
      isOn: () => this.settings.current.inlineCompletion,
      isModelReady: () => this.models.isReady,
      pathOf: (id) => this.buffers.get(id)?.path ?? '',
      nowMs: () => performance.now(),
    });
    this.#session = new SessionKeeper(this, this.#backups);
  }

  /** Subscribes to everything and restores the last session. Resolves when the files are back. */
  async start(): Promise<void> {
    const forever = new AbortController().signal;
    const { api } = this;
    void follow(
      (options) => api.app.events(undefined, options),
      (event) => void this.#onEvent(event),
      forever,
    );
    void this.models.follow(forever);
    void follow(
      (options) => api.workspace.watch(undefined, options),
      (event) => {
        if (event.type === 'changed') {
          void this.tree.directoriesChanged(event.directories);
          void this.buffers.filesChanged(event.files);
        } else this.tree.rootGone(event.type === 'rootGone');
      },
      forever,
    );
    this.settings.store.subscribe((now, before) => {
      if (now.inlineCompletion !== before.inlineCompletion) this.completion.reset();
    });
    this.models.store.subscribe((now, before) => {
      const isReady = now.status?.state === 'ready';
      if (isReady === (before.status?.state === 'ready')) return;
      this.completion.reset();
      if (isReady) void this.chat.countContext();
    });
    await this.#session.open(this.workspace.getState().workspace);
  }

  /** Opens a folder after everything typed is safe. */
  async openFolder(recentRoot?: string): Promise<void> {
    if (await this.#session.flush()) return; // what is open now would be lost; a notice says why
    await this.#try(async () => {
      const opened = await this.api.app.workspace.open(recentRoot === undefined ? {} : { recentRoot });
      if (opened) await this.#workspaceChanged(opened);
    });
  }

  async closeFolder(): Promise<void> {
    if (await this.#session.flush()) return;
    await this.#try(async () => {
      await this.api.app.workspace.close();
      await this.#workspaceChanged(null);
    });
  }

  /** Puts the cursor into the visible text, which may be on its way to the screen. */
  focusEditor(): void {
    requestAnimationFrame(() => this.editor?.focus());
  }

  /** Opens a file and selects a part of it, as soon as the editor shows it. */
  async showInFile(path: string, range: TextRange): Promise<void> {
    await this.buffers.open(path);
    const id = this.buffers.byPath(path)?.id;
    // The editor is drawn some frames later; a file that cannot be read never is.
    for (let i = 0; i < kMostFrames && id !== undefined; i++) {
      if (this.buffers.store.getState().activeId !== id || this.editor?.select(id, range)) return;
      await new Promise((resolve) => requestAnimationFrame(resolve));
    }
  }

  /** Goes to a file, or to a line of it or of the active text. */
  async goTo({ path, line, column }: Place): Promise<void> {
    const target = path ?? this.buffers.active?.path;
    if (line === null || target === undefined) {
      if (path !== null) await this.buffers.open(path);
      return this.focusEditor();
    }
    const range = { startLine: line, startColumn: column, endLine: line, endColumn: column };
    const { activeId } = this.buffers.store.getState();
    if (target !== null) await this.showInFile(target, range);
    else if (activeId !== null) this.editor?.select(activeId, range);
  }

  /** The names that the active text declares. */
  symbols(): OutlineSymbol[] {
    const { active } = this.buffers;
    return active?.status === 'ready' ? outline(this.texts.text(active.id), active.languageId) : [];
  }

  /** Shows what a piece of code would change in the file that it names, or in the active one. */
  async applyCode(code: string, label: string): Promise<void> {
    const named = targetPath(code, label);
    const before = this.buffers.active;
    if (named !== null && this.workspace.getState().workspace !== null) {
      await this.buffers.open(named);
      const opened = this.buffers.byPath(named);
      if (opened?.status === 'failed') {
        this.buffers.discard(opened.id);
        if (before) await this.buffers.activate(before.id);
      }
    }
    const buffer = this.buffers.active;
    if (buffer?.status !== 'ready') {
      this.notifications.note('Open the file that the code is for, then apply it.');
      return;
    }
    const line = buffer.id === before?.id ? this.ui.getState().cursor.line - 1 : 0;
    const { text } = proposeText(this.texts.text(buffer.id), code, buffer.languageId, line);
    if (!this.reviews.start(buffer.id, text)) this.notifications.note(`${buffer.title} has this code already.`);
  }

  #reviewedFiles(): ReviewedFiles {
    const { buffers, texts } = this;
    const isOpen = (id: string) => buffers.get(id)?.status === 'ready';
    return {
      text: (id) => (isOpen(id) ? texts.text(id) : null),
      isDirty: (id) => buffers.get(id)?.isDirty ?? false,
      title: (id) => buffers.get(id)?.title ?? 'The file',
      edit: (id, text) => texts.edit(id, text),
      save: async (id) => buffers.get(id)?.path !== null && buffers.save(id),
      readDisk: async (id) => {
        const path = buffers.get(id)?.path;
        return path ? (await this.api.workspace.read({ path })).text : null;
      },
    };
  }

  /** Replaces what a search found; the note that follows takes it back. */
  async replaceFound(files: readonly FileMatches[]): Promise<void> {
    const { done, skipped, nMatches } = await replaceInFiles(files, this.api.workspace, this.#openTexts);
    await this.search.run();
    const [first] = skipped;
    if (first) {
      const more = skipped.length > 1 ? ` So were ${skipped.length - 1} other files.` : '';
      this.notifications.error({ code: 'FILE_CHANGED_ON_DISK', message: `${first.reason} It was left alone.${more}` });
    }
    if (done.length === 0) return;
    this.notifications.note(`Replaced ${nMatches} in ${done.length} ${done.length === 1 ? 'file' : 'files'}.`, {
      label: 'Undo',
      run: () => void this.#undoReplace(done),
    });
  }

  async #undoReplace(done: Parameters<typeof undoReplace>[0]): Promise<void> {
    const kept = await undoReplace(done, this.api.workspace, this.#openTexts);
    await this.search.run();
    if (kept.length === 0) return;
    this.notifications.error({
      code: 'FILE_CHANGED_ON_DISK',
      message: `${kept.join(', ')} changed again and kept the replacement.`,
    });
  }

  readonly #openTexts: OpenTexts = {
    textOf: (path) => {
      const buffer = this.buffers.byPath(path);
      return buffer?.status === 'ready' ? this.texts.text(buffer.id) : null;
    },
    replace: async (path, text) => {
      const buffer = this.buffers.byPath(path);
      if (buffer?.status !== 'ready') return false;
      this.texts.edit(buffer.id, text);
      return buffer.isDirty || this.buffers.save(buffer.id);
    },
  };

  /** Puts something into the next question: the active text, what is selected in it, or what is not saved of it. */
  async attachActive(kind: 'file' | 'selection' | 'diff'): Promise<void> {
    const buffer = this.buffers.active;
    if (buffer?.status !== 'ready') return;
    const name = buffer.path ?? buffer.title;
    const text = this.texts.text(buffer.id);
    if (kind === 'file') this.draft.attach(attach('file', name, text));
    else if (kind === 'selection') {
      const selection = this.editor?.selection();
      if (!selection) return this.notifications.note('Select a part of the text first.');
      const { startLine, endLine } = selection.range;
      this.draft.attach(attach('selection', `${name}:${startLine}-${endLine}`, selection.text));
    } else {
      await this.#try(async () => {
        const onDisk = buffer.path === null ? '' : (await this.api.workspace.read({ path: buffer.path })).text;
        if (onDisk === text) return this.notifications.note(`${buffer.title} has no unsaved changes.`);
        this.draft.attach(attach('diff', name, unifiedDiff(onDisk, text)));
      });
    }
    this.chatInput?.focus();
  }

  /** @param path of a file or of a folder, which is attached as the list of what is in it */
  async attachPath(path: string, isFolder: boolean): Promise<void> {
    await this.#try(async () => {
      if (isFolder) {
        const { paths } = await this.api.workspace.findFiles({ limit: kMostFolderPaths });
        const below = paths.filter((found) => path === '' || found.startsWith(`${path}/`));
        this.draft.attach(attach('folder', path || 'the open folder', below.join('\n')));
      } else this.draft.attach(attach('file', path, (await this.api.workspace.read({ path })).text));
    });
    this.chatInput?.focus();
  }

  /** Saves the shown conversation where the user says. */
  async exportChat(format: 'markdown' | 'json'): Promise<void> {
    const { conversationId } = this.chat.store.getState();
    const exported = conversationId && exportConversation(this.chat.store.getState(), conversationId, format);
    if (!exported) return;
    await this.#try(async () => {
      const saved = await this.api.app.shell.saveText(exported);
      if (saved) this.notifications.note(`Saved as ${saved.path}.`);
    });
  }

  copy(text: string): void {
    void this.#try(() => this.api.app.shell.writeClipboard({ text }));
  }

  openLink(url: string): void {
    void this.#try(() => this.api.app.shell.openExternal({ url }));
  }

  removeConversation(id: string, title: string): void {
    this.chat.remove(id);
    this.notifications.note(`“${title}” was deleted.`, { label: 'Undo', run: () => this.chat.undoRemove(id) });
  }

  async #onEvent(event: AppEvent): Promise<void> {
    switch (event.type) {
      case 'settings':
        return this.settings.received(event.settings);
      case 'workspace':
        return this.#workspaceChanged(event.workspace);
      case 'openRequest':
        return this.openFolder(event.root);
      case 'process':
        if (event.process === 'engine') this.models.processChanged(event.state);
        else if (event.state.state === 'failed')
          this.notifications.error({ code: 'INTERNAL', message: event.state.reason });
        return;
      case 'command':
        return this.#deps.onCommand(event.command);
      case 'connection':
        return this.network.received(event.connection);
      case 'notice':
        return this.notifications.error(event.notice);
      case 'closing':
        await this.#close();
    }
  }

  async #close(): Promise<void> {
    const problem = await this.#session.flush();
    await this.#try(() => this.api.app.lifecycle.readyToClose({ problem }));
  }

  async #workspaceChanged(workspace: WorkspaceInfo | null): Promise<void> {
    if (this.workspace.getState().workspace?.root === workspace?.root) return;
    this.workspace.setState(({ recent, workspace: before }) => ({
      workspace,
      recent: before ? [before, ...recent.filter(({ root }) => root !== before.root)] : recent,
    }));
    this.search.clear();
    this.operations.clear();
    await this.#session.open(workspace);
  }

  async #try(call: () => Promise<unknown>): Promise<void> {
    try {
      await call();
    } catch (error) {
      this.notifications.error(toErrorInfo(error));
    }
  }
}
