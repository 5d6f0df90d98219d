import { describe, expect, it } from 'vitest';
import { firstHeadingDepth, MarkdownBlocks } from './markdown-blocks.ts';

const kReply = [
  '# Title',
  'Some *text* with `code`.',
  '- one\n- two\n\n  still two\n\n- three',
  '```ts\nconst a = 1;\n\nconst b = 2;\n```',
  '| a | b |\n| --- | --- |\n| 1 | 2 |',
  'Setext\n------',
  '1. x\n2. y',
  'End.',
].join('\n\n');

const types = (text: string, blocks = new MarkdownBlocks()) =>
  blocks.update(text).map((block) => block.tokens[0]?.type);

describe('MarkdownBlocks', () => {
  it('splits at top level', () => {
    expect(types(kReply)).toEqual(['heading', 'paragraph', 'list', 'code', 'table', 'heading', 'list', 'paragraph']);
  });

  it('gives the same blocks letter by letter as at once', () => {
    const growing = new MarkdownBlocks();
    for (let length = 1; length <= kReply.length; length++) growing.update(kReply.slice(0, length));
    expect(growing.update(kReply)).toEqual(new MarkdownBlocks().update(kReply));
  });

  it('keeps the identity of blocks that cannot change', () => {
    const blocks = new MarkdownBlocks();
    const first = blocks.update('one\n\ntwo\n\nthree\n\nfour')[0];
    expect(blocks.update('one\n\ntwo\n\nthree\n\nfour and more')[0]).toBe(first);
  });

  it('starts over when the text is another one', () => {
    const blocks = new MarkdownBlocks();
    blocks.update('one\n\ntwo\n\nthree\n\nfour');
    expect(blocks.update('else').map((block) => block.raw)).toEqual(['else']);
  });

  it('knows how deep the first heading is', () => {
    const depth = (text: string) => firstHeadingDepth(new MarkdownBlocks().update(text));
    expect(depth('Some text.\n\n### Then\n\n# Last')).toBe(3);
    expect(depth('No heading.\n\n> # Quoted')).toBe(1);
  });

  it('keeps an open code fence as one block', () => {
    expect(types('text\n\n```js\nlet a\n\nlet b')).toEqual(['paragraph', 'code']);
  });
});
