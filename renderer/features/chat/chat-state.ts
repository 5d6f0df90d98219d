// What the chat shows, and how it changes. Pure: the store around it talks to the engine and the storage.
import type { Attachment, Conversation, StoredMessage } from '../../../electron/common/app-contract.ts';
import type { ErrorInfo } from '../../../electron/common/errors.ts';
import type { Reply } from './reply.ts';

export interface QueuedQuestion {
  id: string;
  conversationId: string;
  text: string;
  attachments: readonly Attachment[];
}

export interface ChatState {
  /** Newest first; conversations that wait for their deletion are not in it. */
  conversations: readonly Conversation[];
  /** The one that is shown; null for a new one that has no message yet. */
  conversationId: string | null;
  /** Messages of the conversations that were shown since the start: all branches, in the order of their making. */
  messages: Readonly<Record<string, readonly StoredMessage[]>>;
  loading: 'list' | 'messages' | null;
  /** Why the list or the messages could not be read or stored. */
  error: ErrorInfo | null;
  reply: Reply | null;
  /** Questions that wait for the running reply to end. */
  queue: readonly QueuedQuestion[];
  /** Tokens of the shown conversation; null while unknown. */
  context: { nTokens: number; nCtx: number } | null;
}

export const noChat: ChatState = {
  conversations: [],
  conversationId: null,
  messages: {},
  loading: null,
  error: null,
  reply: null,
  queue: [],
  context: null,
};

export function newestFirst(conversations: readonly Conversation[]): Conversation[] {
  return conversations.toSorted((a, b) => b.updatedAtMs - a.updatedAtMs);
}

export function withConversation(
  { conversations }: ChatState,
  id: string,
  change: Partial<Conversation>,
): Partial<ChatState> {
  return { conversations: conversations.map((known) => (known.id === id ? { ...known, ...change } : known)) };
}

/** Something was said in it: it moves to the top of the list. */
export function withNewest({ conversations }: ChatState, id: string, updatedAtMs: number): Partial<ChatState> {
  const said = conversations.find((conversation) => conversation.id === id);
  if (!said) return {};
  return { conversations: [{ ...said, updatedAtMs }, ...conversations.filter((known) => known !== said)] };
}

/** In the place of its older state. */
export function withMessage({ messages }: ChatState, id: string, message: StoredMessage): Partial<ChatState> {
  const list = messages[id] ?? [];
  return { messages: { ...messages, [id]: list.map((old) => (old.id === message.id ? message : old)) } };
}

/** A reply is empty first. */
export function newMessage(
  id: string,
  role: StoredMessage['role'],
  content: string,
  parentId: string | null,
  createdAtMs: number,
): StoredMessage {
  const status = role === 'user' ? 'complete' : 'streaming';
  const nothing = { error: null, stats: null, reason: null, modelName: null };
  return { id, parentId, role, content, status, createdAtMs, ...nothing };
}
