// What goes to the model with a question: files, selections, folders and changes, each as a fenced block with its name.
import type { Attachment } from '../../../electron/common/app-contract.ts';
import { formatCount } from '../../lib/format.ts';

/** One attachment may not fill the context by itself; the rest is cut off, and says so. */
export const kLongestAttachment = 200_000;

/** With what is attached. No context holds more, and neither does the contract with the engine. */
const kLongestQuestion = 1_000_000;

/** Why a question cannot be asked; null if it can. */
export function tooLong(text: string, attachments: readonly Attachment[] = []): string | null {
  const nChars = attachments.reduce((sum, attachment) => sum + attachment.text.length, text.length);
  if (nChars <= kLongestQuestion) return null;
  const most = formatCount(kLongestQuestion);
  return `A question can have ${most} characters with what is attached; this one has ${formatCount(nChars)}.`;
}

export function attach(kind: Attachment['kind'], label: string, text: string): Attachment {
  const isCut = text.length > kLongestAttachment;
  const kept = isCut ? text.slice(0, kLongestAttachment).toWellFormed() : text;
  return { kind, label: isCut ? `${label} (start)` : label, text: kept };
}

/** The question as the model reads it. */
export function withAttachments(content: string, attachments: readonly Attachment[] = []): string {
  return [...attachments.map(block), content].join('\n\n');
}

const kTitles = {
  file: 'File',
  selection: 'Selection of',
  folder: 'Folder',
  diff: 'Changes of',
  symbol: 'Declaration of',
  terminal: 'Output of',
};

function block({ kind, label, text }: Attachment): string {
  const fence = '`'.repeat(Math.max(3, longestRun(text) + 1));
  return `${kTitles[kind]} ${label}:\n${fence}\n${text}${text.endsWith('\n') ? '' : '\n'}${fence}`;
}

/** Of backquotes: the fence must be longer, or the text could end it. */
function longestRun(text: string): number {
  return Math.max(0, ...(text.match(/`+/g) ?? []).map((run) => run.length));
}
