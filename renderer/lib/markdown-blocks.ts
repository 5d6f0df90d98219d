// Markdown of a reply that is still being written, split into top-level blocks. Blocks that can no longer change
// keep their identity, so that only the last ones are parsed and drawn again: the work per update depends on the
// length of the last block, not of the reply.
import { lexer, type Token, type Tokens } from 'marked';

export interface MarkdownBlock {
  /** Offset of the block in the text: stable, so it serves as a key. */
  start: number;
  raw: string;
  tokens: Token[];
}

/**
 * A later line can still join one of these many blocks at the end: a list goes on after a blank line, and what
 * looks like a paragraph so far ("-") may turn out to be its next item.
 */
const kOpenBlocks = 2;

/** Parses a growing text. One per message; `update` with a text that is not a continuation starts over. */
export class MarkdownBlocks {
  #text = '';
  #blocks: MarkdownBlock[] = [];

  /** All blocks of `text`, which usually extends the text of the call before. */
  update(text: string): readonly MarkdownBlock[] {
    if (text === this.#text) return this.#blocks;
    const closed = text.startsWith(this.#text) ? this.#blocks.slice(0, -kOpenBlocks) : [];
    const last = closed.at(-1);
    const from = last ? last.start + last.raw.length : 0;
    const open = splitBlocks(text.slice(from), from);
    this.#text = text;
    this.#blocks = [...closed, ...open];
    return this.#blocks;
  }
}

/** 1 (#) to 6; 1 without a heading. A text that goes on has the same one, once it has any. */
export function firstHeadingDepth(blocks: readonly MarkdownBlock[]): number {
  const heading = blocks.flatMap(({ tokens }) => tokens).find(({ type }) => type === 'heading');
  return (heading as Tokens.Heading | undefined)?.depth ?? 1;
}

/** Groups top-level tokens: each block is one token with the blank lines before it. */
function splitBlocks(text: string, offset: number): MarkdownBlock[] {
  const blocks: MarkdownBlock[] = [];
  let start = offset;
  let raw = '';
  for (const token of lexer(text)) {
    raw += token.raw;
    if (token.type === 'space' || token.type === 'def') continue;
    blocks.push({ start, raw, tokens: [token] });
    start += raw.length;
    raw = '';
  }
  return blocks;
}
