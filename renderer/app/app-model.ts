// All state of the window in one place, connected to the API and to each other. No React in here.
import { createStore, type StoreApi } from 'zustand/vanilla';
import type { Api } from '../../electron/common/api.ts';
import type { AppEvent, AppInfo, WorkspaceInfo } from '../../electron/common/app-contract.ts';
import { toErrorInfo } from '../../electron/common/error-info.ts';
import type { Settings } from '../../electron/common/settings.ts';
import type { EditorHandle } from '../editor/editor-handle.ts';
import type { TextStore } from '../editor/text-store.ts';
import { ChatStore } from '../features/chat/chat-store.ts';
import { DraftStore } from '../features/chat/draft-store.ts';
import { toChatMessages } from '../features/chat/messages.ts';
import { CompletionStore } from '../features/completion/completion-store.ts';
import { ContextFiles } from '../features/completion/context-files.ts';
import { GitStore } from '../features/git/git-store.ts';
import { LibraryStore } from '../features/models/library-store.ts';
import { ModelStore } from '../features/models/model-store.ts';
import { NetworkStore } from '../features/network/network-store.ts';
import { ReviewStore } from '../features/review/review-store.ts';
import { MeaningStore } from '../features/search/meaning-store.ts';
import { SearchStore } from '../features/search/search-store.ts';
import { SettingsStore } from '../features/settings/settings-store.ts';
import type { Screen } from '../features/terminal/screen.ts';
import { TerminalStore } from '../features/terminal/terminal-store.ts';
import { Backups } from '../features/workspace/backups.ts';
import { BuffersStore } from '../features/workspace/buffers-store.ts';
import { FileOperations } from '../features/workspace/file-operations.ts';
import { TreeStore } from '../features/workspace/tree-store.ts';
import { follow } from '../lib/follow.ts';
import { followContext, openTexts } from './completion-context.ts';
import { learnFromReplies } from './learn-from-replies.ts';
import { NotificationsStore } from './notifications-store.ts';
import { SessionKeeper } from './session-keeper.ts';
import { reviewedFiles } from './text-actions.ts';
import { createUiStore } from './ui-store.ts';

export interface AppModelDeps<Texts extends TextStore> {
  api: Api;
  info: AppInfo;
  texts: Texts;
  /** A command from the application menu. */
  onCommand: (command: string) => void;
  createScreen: () => Promise<Screen>;
}

export interface WorkspaceState {
  workspace: WorkspaceInfo | null;
  recent: readonly WorkspaceInfo[];
}

export class AppModel<Texts extends TextStore = TextStore> {
  readonly api: Api;
  readonly texts: Texts;
  readonly info: AppInfo;
  readonly notifications = new NotificationsStore(() => this.settings.current.quietNotes);
  readonly ui = createUiStore();
  readonly workspace: StoreApi<WorkspaceState>;
  readonly settings: SettingsStore;
  readonly models: ModelStore;
  readonly library: LibraryStore;
  readonly buffers: BuffersStore;
  readonly tree: TreeStore;
  readonly search: SearchStore;
  readonly meaning: MeaningStore;
  readonly operations: FileOperations;
  readonly reviews: ReviewStore;
  readonly chat: ChatStore;
  readonly draft: DraftStore;
  readonly network: NetworkStore;
  readonly terminals: TerminalStore;
  readonly git: GitStore;
  readonly contextFiles: ContextFiles;
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
    this.library = new LibraryStore({
      app: api.app.models,
      engine: api.engine,
      onError,
      onNote: this.notifications.note.bind(this.notifications),
    });
    this.buffers = new BuffersStore({
      workspace: api.workspace,
      texts,
      newId: () => crypto.randomUUID(),
      onMerged: (title) =>
        this.notifications.note(`${title} changed on disk. What changed there is in your text, too.`),
    });
    this.tree = new TreeStore(api.workspace);
    this.search = new SearchStore(api.workspace);
    this.meaning = new MeaningStore(api.workspace, api.engine);
    this.git = new GitStore(api.workspace.git, () => {
      void this.tree.refresh();
      const paths = this.buffers.all().flatMap(({ path }) => (path === null ? [] : [path]));
      void this.buffers.filesChanged(paths);
    });
    this.operations = new FileOperations({
      workspace: api.workspace,
      tree: this.tree,
      buffers: this.buffers,
      onNote: this.notifications.note.bind(this.notifications),
      onError,
    });
    this.reviews = new ReviewStore({
      files: reviewedFiles(this),
      onNote: this.notifications.note.bind(this.notifications),
      onError,
    });
    this.#backups = new Backups(api.app.backups, this.buffers, texts, onError);
    this.chat = new ChatStore({
      conversations: api.app.conversations,
      engine: api.engine,
      settings: () => this.#chatSettings(),
      modelName: () => this.models.modelName,
      openTexts: () => openTexts(this),
      newId: () => crypto.randomUUID(),
      nowMs: () => Date.now(),
      schedule: (update) => requestAnimationFrame(update),
    });
    this.terminals = new TerminalStore({
      terminal: api.terminal,
      startProcess: api.app.processes.startTerminal,
      createScreen: deps.createScreen,
    });
    this.draft = new DraftStore({
      engine: api.engine,
      messages: () => toChatMessages(this.settings.current.systemPrompt, this.chat.shownMessages),
    });
    this.contextFiles = new ContextFiles(api.workspace, () => performance.now());
    this.completion = new CompletionStore({
      engine: api.engine,
      isOn: () => this.settings.current.inlineCompletion,
      isModelReady: () => this.models.canComplete,
      fillsGaps: () => this.models.fillsGaps,
      repository: () => this.workspace.getState().workspace?.name ?? '',
      filesFor: (path) => this.contextFiles.for(path),
      openTexts: () => openTexts(this),
      pathOf: (id) => this.buffers.get(id)?.path ?? '',
      nowMs: () => performance.now(),
    });
    followContext(this);
    this.#session = new SessionKeeper(this, this.#backups);
    if (!info.settings.hasSeenFirstSteps) this.ui.setState({ overlay: 'firstSteps' });
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
    this.models.follow(forever);
    this.library.follow(forever);
    learnFromReplies(this);
    void follow(
      (options) => api.workspace.watch(undefined, options),
      (event) => {
        if (event.type === 'changed') {
          void this.tree.directoriesChanged(event.directories);
          void this.buffers.filesChanged(event.files);
          this.git.changed();
        } else this.tree.rootGone(event.type === 'rootGone');
      },
      forever,
    );
    // Who comes back from another program may have changed files there in folders that are not watched.
    window.addEventListener('focus', () => this.git.changed());
    this.settings.store.subscribe((now, before) => {
      if (now.inlineCompletion !== before.inlineCompletion) this.completion.reset();
    });
    this.models.store.subscribe((now, before) => {
      if (before.status?.state !== 'loading' && now.status?.state === 'loading') void this.chat.goOn();
      if (now.completionModel !== before.completionModel) this.completion.reset();
      if (before.status?.state !== 'ready' && now.status?.state === 'ready') void this.chat.countContext();
    });
    await this.#session.open(this.workspace.getState().workspace);
    this.git.reset(this.workspace.getState().workspace !== null);
  }

  /** Opens a folder after everything typed is safe. */
  async openFolder(recentRoot?: string): Promise<void> {
    await this.#session.isOpened;
    if (await this.#session.flush()) return; // what is open now would be lost; a notice says why
    await this.attempt(async () => {
      const opened = await this.api.app.workspace.open(recentRoot === undefined ? {} : { recentRoot });
      if (opened) await this.#workspaceChanged(opened);
    });
  }

  async closeFolder(): Promise<void> {
    await this.#session.isOpened;
    if (await this.#session.flush()) return;
    await this.attempt(async () => {
      await this.api.app.workspace.close();
      await this.#workspaceChanged(null);
    });
  }

  /** Gives up the load that the chat waits for. A question that waits for it stays where it is, to be asked again. */
  async stopLoading(): Promise<void> {
    if (this.chat.store.getState().reply?.phase === 'loading') this.chat.stop(true);
    await this.models.stopLoading();
  }

  copy(text: string): void {
    void this.attempt(() => this.api.app.shell.writeClipboard({ text }));
  }

  openLink(url: string): void {
    void this.attempt(() => this.api.app.shell.openExternal({ url }));
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

  /** The settings, with what the chat's model has of its own. */
  #chatSettings(): Settings {
    const settings = this.settings.current;
    const own = Object.entries(this.library.modelOf('chat')?.overrides.sampler ?? {});
    const present = Object.fromEntries(own.filter(([, value]) => value !== undefined));
    return { ...settings, sampler: { ...settings.sampler, ...present } };
  }

  async #close(): Promise<void> {
    const problem = await this.#session.flush();
    await this.attempt(() => this.api.app.lifecycle.readyToClose({ problem }));
  }

  async #workspaceChanged(workspace: WorkspaceInfo | null): Promise<void> {
    if (this.workspace.getState().workspace?.root === workspace?.root) return;
    this.workspace.setState(({ recent, workspace: before }) => ({
      workspace,
      recent: before ? [before, ...recent.filter(({ root }) => root !== before.root)] : recent,
    }));
    this.search.clear();
    this.meaning.clear();
    this.contextFiles.clear();
    this.operations.clear();
    this.git.reset(workspace !== null);
    await this.#session.open(workspace);
  }

  /** Shows why a call failed. */
  async attempt(call: () => Promise<unknown>): Promise<void> {
    try {
      await call();
    } catch (error) {
      this.notifications.error(toErrorInfo(error));
    }
  }
}
