// Conversations and the running reply. One reply runs at a time; it goes on when another conversation is shown and
// is stored about every second, so that a crash loses little. Engine, storage, clock and frame scheduling are
// passed in, so that tests script them.
import { createStore, type StoreApi } from 'zustand/vanilla';
import type { AppApi, EngineApi } from '../../../electron/common/api.ts';
import type { Attachment, Conversation, StoredMessage } from '../../../electron/common/app-contract.ts';
import { toErrorInfo } from '../../../electron/common/error-info.ts';
import type { Settings } from '../../../electron/common/settings.ts';
import { newestLeaf, pathTo, withParents } from './branches.ts';
import {
  type ChatState,
  newestFirst,
  newMessage,
  noChat,
  withConversation,
  withMessage,
  withNewest,
} from './chat-state.ts';
import { originalOf, titleFrom, toChatMessages } from './messages.ts';
import { runReply } from './reply.ts';

export interface ChatDeps {
  conversations: AppApi['conversations'];
  engine: EngineApi;
  settings: () => Settings;
  modelName: () => string | null;
  /** What a reply may quote beside the conversation, the most likely first. */
  openTexts: () => string[];
  newId: () => string;
  nowMs: () => number;
  /** Runs a function before the next frame: text updates are collected until then. */
  schedule: (update: () => void) => void;
}

/** How long a deleted conversation can be brought back. */
export const kUndoMs = 6000;

const kNone: readonly StoredMessage[] = [];

export class ChatStore {
  readonly store: StoreApi<ChatState>;
  readonly #deps: ChatDeps;
  readonly #deletions = new Map<string, { timer: ReturnType<typeof setTimeout>; conversation: Conversation }>();
  #abort: AbortController | null = null;
  /** The conversation that is being made, for every question that comes before it is there. */
  #beginning: Promise<string | null> | null = null;
  /** Questions that wait go on waiting, though no reply runs. */
  #isHeld = false;

  constructor(deps: ChatDeps) {
    this.#deps = deps;
    this.store = createStore<ChatState>(() => noChat);
  }

  get shownMessages(): readonly StoredMessage[] {
    const { conversationId, messages } = this.store.getState();
    return conversationId === null ? kNone : this.#path(conversationId, messages[conversationId] ?? kNone);
  }

  /** Reads the list and shows the conversation of the last session, if it still exists. */
  async load(conversationId: string | null): Promise<void> {
    await this.#guard('list', async () => {
      const conversations = await this.#deps.conversations.list();
      this.store.setState({ conversations: newestFirst(conversations) });
    });
    if (this.store.getState().conversations.some(({ id }) => id === conversationId)) await this.select(conversationId);
  }

  async select(id: string | null): Promise<void> {
    this.store.setState({ conversationId: id, context: null, error: null });
    if (id === null) return;
    if (!this.store.getState().messages[id]) {
      await this.#guard('messages', async () => {
        this.#setMessages(id, withParents(await this.#deps.conversations.messages({ id })));
      });
    }
    // At the start of the app there is no engine yet, and nothing else waits for it.
    void this.countContext();
  }

  /** Ids of the conversations in which a text occurs. */
  async search(text: string): Promise<readonly string[]> {
    const query = text.trim().slice(0, 200);
    if (query === '') return [];
    return this.#deps.conversations.search({ text: query }).catch(() => []);
  }

  async rename(id: string, title: string): Promise<void> {
    const trimmed = title.trim().slice(0, 200);
    if (trimmed === '') return;
    await this.#guard(null, () => this.#deps.conversations.rename({ id, title: trimmed }));
    this.store.setState((state) => withConversation(state, id, { title: trimmed }));
  }

  /** Hides a conversation now and deletes it later, so that it can be brought back with `undoRemove`. */
  remove(id: string): void {
    const conversation = this.store.getState().conversations.find((candidate) => candidate.id === id);
    if (!conversation) return;
    if (this.store.getState().reply?.conversationId === id) this.stop();
    const timer = setTimeout(() => {
      this.#deletions.delete(id);
      void this.#guard(null, () => this.#deps.conversations.delete({ id }));
    }, kUndoMs);
    this.#deletions.set(id, { timer, conversation });
    this.store.setState(({ conversations, queue }) => ({
      conversations: conversations.filter((kept) => kept.id !== id),
      queue: queue.filter((question) => question.conversationId !== id),
    }));
    if (this.store.getState().conversationId === id) void this.select(null);
  }

  undoRemove(id: string): void {
    const deletion = this.#deletions.get(id);
    if (!deletion) return;
    clearTimeout(deletion.timer);
    this.#deletions.delete(id);
    this.store.setState(({ conversations }) => ({
      conversations: newestFirst([...conversations, deletion.conversation]),
    }));
  }

  /**
   * Adds a question to the shown conversation, or starts one, and runs the reply; waits while another one runs.
   * @return false at once if there is no conversation to add it to, as on a full disk
   */
  async send(prompt: string, attachments: readonly Attachment[] = []): Promise<boolean> {
    const text = prompt.trim();
    if (text === '') return true;
    const id = this.store.getState().conversationId ?? (await this.#begin(titleFrom(text)));
    if (id === null) return false;
    const { reply, queue } = this.store.getState();
    if (reply || queue.length > 0) {
      const question = { id: this.#deps.newId(), conversationId: id, text, attachments };
      this.store.setState({ queue: [...queue, question] });
      await this.goOn();
    } else await this.#ask(id, this.#leaf(id), text, attachments);
    return true;
  }

  /** Takes a waiting question back. */
  unqueue(id: string): void {
    this.store.setState(({ queue }) => ({ queue: queue.filter((question) => question.id !== id) }));
  }

  /** Runs the last reply again, beside the earlier one: after a failure, or because another answer is wanted. */
  async regenerate(): Promise<void> {
    const { conversationId: id, reply } = this.store.getState();
    const last = this.shownMessages.at(-1);
    if (id === null || reply || !last) return;
    await this.#reply(id, last.role === 'assistant' ? (last.parentId ?? null) : last.id);
  }

  /** Asks another question in the place of an earlier one, which stays as a branch of its own. */
  async editAndResend(messageId: string, prompt: string): Promise<void> {
    const { conversationId: id, reply, messages } = this.store.getState();
    if (id === null || reply || prompt.trim() === '') return;
    const edited = messages[id]?.find((message) => message.id === messageId);
    if (edited) await this.#ask(id, edited.parentId ?? null, prompt.trim(), edited.attachments ?? []);
  }

  /** Shows the branch that a message belongs to. */
  async showBranch(messageId: string): Promise<void> {
    const { conversationId: id, messages } = this.store.getState();
    if (id === null) return;
    this.#setLeaf(id, newestLeaf(messages[id] ?? [], messageId));
    await this.countContext();
  }

  /** @param holdsQueue the questions that wait are not asked before `goOn`, or another question */
  stop(holdsQueue = false): void {
    this.#isHeld = holdsQueue;
    this.#abort?.abort();
  }

  /** Asks the questions that were held back. */
  async goOn(): Promise<void> {
    if (this.#isHeld) await this.#nextQuestion();
  }

  dismissError(): void {
    this.store.setState({ error: null });
  }

  /** Asks the engine for the length of the shown conversation; without an engine the meter stays empty. */
  async countContext(): Promise<void> {
    const { conversationId } = this.store.getState();
    const messages = toChatMessages(this.#deps.settings().systemPrompt, this.shownMessages);
    if (conversationId === null || messages.length === 0) return;
    try {
      const context = await this.#deps.engine.countTokens({ messages });
      if (this.store.getState().conversationId === conversationId) this.store.setState({ context });
    } catch {
      this.store.setState({ context: null });
    }
  }

  #begin(title: string): Promise<string | null> {
    this.#beginning ??= this.#create(title).finally(() => {
      this.#beginning = null;
    });
    return this.#beginning;
  }

  async #create(title: string): Promise<string | null> {
    let id: string | null = null;
    await this.#guard(null, async () => {
      const conversation = await this.#deps.conversations.create({ title });
      id = conversation.id;
      this.store.setState(({ conversations, messages }) => ({
        conversations: [conversation, ...conversations],
        conversationId: conversation.id,
        messages: { ...messages, [conversation.id]: [] },
      }));
    });
    return id;
  }

  async #ask(id: string, parentId: string | null, text: string, attachments: readonly Attachment[]): Promise<void> {
    const question = {
      ...this.#message('user', text, parentId),
      ...(attachments.length > 0 ? { attachments: [...attachments] } : {}),
    };
    this.#append(id, question);
    // Not waited for: `reply` has to be there at once, so that the next question waits for it.
    void this.#put(id, question);
    await this.#reply(id, question.id);
  }

  /** @param parentId the question, or the end of what was said so far */
  async #reply(conversationId: string, parentId: string | null): Promise<void> {
    const { settings, engine, modelName, openTexts, nowMs, schedule } = this.#deps;
    const all = this.store.getState().messages[conversationId] ?? [];
    const path = parentId === null ? [] : pathTo(all, parentId);
    const history = toChatMessages(settings().systemPrompt, path);
    const original = originalOf(path);
    const answer = this.#message('assistant', '', parentId);
    const abort = new AbortController();
    this.#abort = abort;
    this.#isHeld = false;
    this.#append(conversationId, answer);
    const ended = await runReply({
      engine,
      request: {
        messages: history,
        sampler: settings().sampler,
        texts: openTexts(),
        ...(original === undefined ? {} : { original }),
      },
      message: { ...answer, modelName: modelName() },
      conversationId,
      signal: abort.signal,
      nowMs,
      schedule,
      onReply: (reply) => this.store.setState({ reply }),
      onMessage: (message) => this.#replaceMessage(conversationId, message),
      store: (message) => this.#put(conversationId, message),
    });
    this.#replaceMessage(conversationId, ended);
    this.store.setState({ reply: null });
    this.#abort = null;
    this.#touch(conversationId);
    await this.#put(conversationId, ended);
    await this.countContext();
    if (!this.#isHeld) await this.#nextQuestion();
  }

  async #nextQuestion(): Promise<void> {
    const [next] = this.store.getState().queue;
    if (!next || this.store.getState().reply) return;
    this.unqueue(next.id);
    await this.#ask(next.conversationId, this.#leaf(next.conversationId), next.text, next.attachments);
  }

  #path(id: string, messages: readonly StoredMessage[]): readonly StoredMessage[] {
    return pathTo(messages, this.store.getState().conversations.find((known) => known.id === id)?.leafId ?? null);
  }

  #leaf(id: string): string | null {
    return this.#path(id, this.store.getState().messages[id] ?? kNone).at(-1)?.id ?? null;
  }

  #append(id: string, message: StoredMessage): void {
    this.#setMessages(id, [...(this.store.getState().messages[id] ?? []), message]);
    this.#setLeaf(id, message.id);
  }

  #setLeaf(id: string, leafId: string): void {
    this.store.setState((state) => withConversation(state, id, { leafId }));
    if (!this.#deletions.has(id)) void this.#guard(null, () => this.#deps.conversations.setLeaf({ id, leafId }));
  }

  #message(role: StoredMessage['role'], content: string, parentId: string | null): StoredMessage {
    return newMessage(this.#deps.newId(), role, content, parentId, this.#deps.nowMs());
  }

  async #put(conversationId: string, message: StoredMessage): Promise<void> {
    if (this.#deletions.has(conversationId)) return;
    await this.#guard(null, () => this.#deps.conversations.putMessage({ conversationId, message }));
  }

  /** Moves a conversation to the top of the list. */
  #touch(id: string): void {
    this.store.setState((state) => withNewest(state, id, this.#deps.nowMs()));
  }

  #setMessages(id: string, list: readonly StoredMessage[]): void {
    this.store.setState(({ messages }) => ({ messages: { ...messages, [id]: list } }));
  }

  #replaceMessage(id: string, message: StoredMessage): void {
    this.store.setState((state) => withMessage(state, id, message));
  }

  async #guard(loading: ChatState['loading'], call: () => Promise<unknown>): Promise<void> {
    if (loading) this.store.setState({ loading });
    try {
      await call();
    } catch (error) {
      this.store.setState({ error: toErrorInfo(error) });
    } finally {
      if (loading) this.store.setState({ loading: null });
    }
  }
}
