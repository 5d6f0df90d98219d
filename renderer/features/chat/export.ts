// A conversation as a file for people (Markdown, the shown branch) or for programs (JSON, all of it).
import type { Conversation, StoredMessage } from '../../../electron/common/app-contract.ts';
import { pathTo } from './branches.ts';
import type { ChatState } from './chat-state.ts';
import { splitReasoning } from './reasoning.ts';

export function toMarkdown({ title }: Pick<Conversation, 'title'>, path: readonly StoredMessage[]): string {
  const parts = path.map(({ role, content, modelName, attachments = [] }) => {
    const head = role === 'user' ? '## You' : `## ${modelName ?? 'Assistant'}`;
    const files = attachments.map(({ label }) => `*Attached: ${label}*\n\n`).join('');
    const { reasoning, answer } = role === 'user' ? { reasoning: '', answer: content } : splitReasoning(content);
    const thought = reasoning === '' ? '' : `<details><summary>Thought</summary>\n\n${reasoning}\n\n</details>\n\n`;
    return `${head}\n\n${files}${thought}${answer.trim()}\n`;
  });
  return `# ${title.replaceAll('\n', ' ')}\n\n${parts.join('\n')}`;
}

/** `messages` is a tree by `parentId`. */
export function toJson(conversation: Conversation, messages: readonly StoredMessage[]): string {
  return `${JSON.stringify({ format: 'outpost-conversation', version: 1, ...conversation, messages }, null, 2)}\n`;
}

/** The title as the name of a file on every system. */
export function fileName(title: string, ending: string): string {
  const name = title
    .replace(/[^\p{L}\p{M}\p{N} ._,()'+-]+/gu, ' ')
    .replace(/\s+/g, ' ')
    .replace(/^[. ]+|[. ]+$/g, '');
  return `${name.slice(0, 80).trim() || 'conversation'}.${ending}`;
}

/** The shown branch for people, or everything for programs; null while its messages were not read. */
export function exportConversation(
  { conversations, messages }: Pick<ChatState, 'conversations' | 'messages'>,
  id: string,
  format: 'markdown' | 'json',
): { name: string; text: string } | null {
  const conversation = conversations.find((candidate) => candidate.id === id);
  const all = messages[id];
  if (!conversation || !all) return null;
  return format === 'json'
    ? { name: fileName(conversation.title, 'json'), text: toJson(conversation, all) }
    : { name: fileName(conversation.title, 'md'), text: toMarkdown(conversation, pathTo(all, conversation.leafId)) };
}
