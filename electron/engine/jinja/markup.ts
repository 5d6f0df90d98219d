// markupsafe: text that is safe to put into HTML, and the escaping of what is not.
import type { Budget } from './budget.ts';
import { str } from './printing.ts';
import { Markup, type Value } from './values.ts';

const entities: Record<string, string> = { '&': '&amp;', '>': '&gt;', '<': '&lt;', "'": '&#39;', '"': '&#34;' };

export const escapeText = (text: string): string => text.replace(/[&<>'"]/g, (char) => entities[char] ?? char);

/** markupsafe.escape: a Markup stays as it is. */
export function toMarkup(value: Value, budget: Budget): Markup {
  if (value instanceof Markup) return value;
  const escaped = escapeText(str(value, budget));
  budget.text(escaped.length);
  return new Markup(escaped);
}
