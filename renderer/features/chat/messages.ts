// Pure functions over the messages of a conversation.
import type { StoredMessage } from '../../../electron/common/app-contract.ts';
import type { ChatMessage } from '../../../electron/common/engine-contract.ts';
import { formatCount } from '../../lib/format.ts';
import { withAttachments } from './attachments.ts';
import { splitReasoning } from './reasoning.ts';

/**
 * What the model sees: the system prompt, then the turns in alternation. Chat templates of several model families
 * refuse two messages of one role in a row, so a question whose answer failed is joined with the next question; one that
 * was too long by itself is left out, or no later question could be asked. What it
 * thought goes apart from what it answered: its template knows whether it wants to see it again.
 */
export function toChatMessages(systemPrompt: string, messages: readonly StoredMessage[]): ChatMessage[] {
  const result: ChatMessage[] = [];
  if (systemPrompt.trim() !== '') result.push({ role: 'system', content: systemPrompt });
  for (const [i, { role, content: text, attachments }] of messages.entries()) {
    const answer = messages[i + 1];
    if (role === 'user' && answer?.error?.code === 'CONTEXT_FULL' && answer.content.trim() === '') continue;
    const { reasoning, answer: said } = role === 'assistant' ? splitReasoning(text) : { reasoning: '', answer: text };
    const content = withAttachments(said, attachments);
    if (content.trim() === '') continue;
    const last = result.at(-1);
    if (last?.role === role) last.content += `\n\n${content}`;
    else result.push({ role, content, ...(reasoning === '' ? {} : { reasoning }) });
  }
  return result;
}

/** The text that the answer to the last question may rewrite: the one piece of code that was attached to it. */
export function originalOf(messages: readonly StoredMessage[]): string | undefined {
  const attachments = messages.findLast(({ role }) => role === 'user')?.attachments ?? [];
  const [code, ...others] = attachments.filter(({ kind }) => ['file', 'selection', 'symbol'].includes(kind));
  return others.length === 0 ? code?.text : undefined;
}

/** A window takes seconds to lay out megabytes. */
const kMostShown = 20_000;

/** The question as it is shown: of a very long one the start. */
export function shownQuestion(content: string): string {
  const nHidden = content.length - kMostShown;
  if (nHidden <= 0) return content;
  return `${content.slice(0, kMostShown).toWellFormed()}…\n\n(${formatCount(nHidden)} more characters)`;
}

const kLongestTitle = 60;

/** The first line of the first question, cut at a word. */
export function titleFrom(prompt: string): string {
  const line = prompt.trim().split('\n', 1)[0]?.trim() ?? '';
  if (line === '') return 'New conversation';
  if (line.length <= kLongestTitle) return line;
  const cut = line.slice(0, kLongestTitle);
  const space = cut.lastIndexOf(' ');
  return `${cut.slice(0, space > kLongestTitle / 2 ? space : kLongestTitle)}…`;
}

/** Where a link of a reply may lead: an https address, or nowhere. */
export function safeLink(href: string): string | null {
  try {
    const url = new URL(href);
    return url.protocol === 'https:' && url.href.length <= 2000 ? url.href : null;
  } catch {
    return null;
  }
}
