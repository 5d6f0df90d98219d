// Tabs, tree, layout and shown conversation of a folder: restored when it opens, stored shortly after they change,
// together with the backups of unsaved text.
import type { Session, WorkspaceInfo } from '../../electron/common/app-contract.ts';
import { toErrorInfo } from '../../electron/common/error-info.ts';
import type { ErrorInfo } from '../../electron/common/errors.ts';
import type { Backups } from '../features/workspace/backups.ts';
import type { AppModel } from './app-model.ts';

const kDelayMs = 800;

type Model = Pick<AppModel, 'api' | 'buffers' | 'tree' | 'chat' | 'ui' | 'notifications' | 'workspace'>;

export class SessionKeeper {
  readonly #model: Model;
  readonly #backups: Backups;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Nothing is stored while a session is being restored: it would be half of one. */
  #isOpening = true;
  /** Folders are opened one after the other: of two at once the tabs and the unsaved texts would be mixed. */
  #opened: Promise<void> = Promise.resolve();

  constructor(model: Model, backups: Backups) {
    this.#model = model;
    this.#backups = backups;
    const changed = () => this.#schedule();
    model.buffers.store.subscribe((now, before) => {
      const isSame = now.tabs === before.tabs && now.activeId === before.activeId && now.split === before.split;
      if (!isSame || now.buffers !== before.buffers) changed();
    });
    model.tree.store.subscribe((now, before) => now.expanded !== before.expanded && changed());
    model.chat.store.subscribe((now, before) => now.conversationId !== before.conversationId && changed());
    model.ui.subscribe((now, before) => now.layout !== before.layout && changed());
  }

  /** Resolves when everything is back of the folder that is being opened. */
  get isOpened(): Promise<void> {
    return this.#opened;
  }

  /** Replaces what is open by the session of `workspace`. Unsaved text must have been flushed before. */
  open(workspace: WorkspaceInfo | null): Promise<void> {
    const isOpened = this.#opened.then(() => this.#open(workspace));
    this.#opened = isOpened.catch(() => {});
    return isOpened;
  }

  async #open(workspace: WorkspaceInfo | null): Promise<void> {
    const { api, buffers, tree, chat, ui } = this.#model;
    clearTimeout(this.#timer);
    this.#isOpening = true;
    this.#backups.release();
    buffers.discardAll();
    const [session, backups] = await Promise.all([
      this.#read(() => api.app.workspace.session.load(), null),
      this.#read(() => api.app.backups.list(), []),
    ]);
    const chatIsBack = chat.load(session?.conversationId ?? null);
    this.#backups.adopt(backups.map(({ id }) => id));
    if (session && Object.keys(session.layout).length > 0) ui.setState({ layout: session.layout });
    if (workspace) void tree.reset(session?.expandedDirectories ?? []);
    else tree.clear();

    const unclaimed = new Map(backups.map((backup) => [backup.id, backup]));
    const ids: (string | undefined)[] = [];
    for (const { path, backupId } of session?.tabs ?? []) {
      const backup = backupId === null ? undefined : unclaimed.get(backupId);
      if (backup) {
        unclaimed.delete(backup.id);
        await buffers.restore(backup);
      } else if (path !== null) buffers.addUnread([path]);
      ids.push(backup?.id ?? (path === null ? undefined : buffers.byPath(path)?.id));
    }
    // A backup without a tab is text that a crash kept from the session: it comes back all the same.
    for (const backup of unclaimed.values()) await buffers.restore(backup);
    const active = ids[session?.activeTab ?? -1] ?? buffers.all()[0]?.id;
    if (active !== undefined) await buffers.activate(active);
    if (active !== undefined && session?.split) {
      const { otherTab, isActiveRight } = session.split;
      await buffers.restoreSplit(ids[otherTab ?? -1] ?? null, isActiveRight);
    }
    await chatIsBack;
    this.#isOpening = false;
  }

  /** Stores backups and session. @return why unsaved text is not in safety; null if it is */
  async flush(): Promise<ErrorInfo | null> {
    clearTimeout(this.#timer);
    const problem = await this.#backups.flush();
    await this.#save();
    return problem;
  }

  #schedule(): void {
    if (this.#isOpening) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#save(), kDelayMs);
  }

  async #save(): Promise<void> {
    const { api, buffers, tree, chat, ui } = this.#model;
    if (this.#isOpening) return;
    const { activeId, split } = buffers.store.getState();
    const open = buffers.all();
    const session: Session = {
      tabs: open.map(({ id, path, isDirty }) => ({ path, backupId: isDirty ? id : null })),
      activeTab: open.findIndex(({ id }) => id === activeId),
      expandedDirectories: [...tree.store.getState().expanded],
      layout: { ...ui.getState().layout },
      conversationId: chat.store.getState().conversationId,
    };
    if (session.activeTab === -1) session.activeTab = null;
    if (split) {
      const otherTab = open.findIndex(({ id }) => id === split.otherId);
      session.split = { otherTab: otherTab === -1 ? null : otherTab, isActiveRight: split.isActiveRight };
    }
    await this.#read(() => api.app.workspace.session.save(session), {});
  }

  async #read<T>(call: () => Promise<T>, fallback: T): Promise<T> {
    try {
      return await call();
    } catch (error) {
      const info = toErrorInfo(error);
      // Without a folder there is no session to keep.
      if (info.code !== 'NO_WORKSPACE') this.#model.notifications.error(info);
      return fallback;
    }
  }
}
