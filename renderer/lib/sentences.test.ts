import { describe, expect, it } from 'vitest';
import { sentenceEnd, speakable } from './sentences.ts';

describe('sentenceEnd', () => {
  it('waits for the end of a sentence', () => {
    expect(sentenceEnd('One sentence', 0)).toBe(0);
    expect(sentenceEnd('One sentence. And', 0)).toBe(13);
  });

  it('does not stop inside a number', () => {
    expect(sentenceEnd('Version 3.5 is', 0)).toBe(0);
  });

  it('continues after what was spoken', () => {
    expect(sentenceEnd('One. Two. Thr', 4)).toBe(9);
  });

  it('speaks a long run without punctuation at a word', () => {
    const text = 'word '.repeat(100);
    expect(sentenceEnd(text, 0)).toBe(text.length);
  });
});

describe('speakable', () => {
  it('drops the marks', () => {
    expect(speakable('## Hi\n\n- **bold** `x`\n- [link](https://a.b)\n```ts\nlet a;\n```')).toBe(
      'Hi bold x link let a;',
    );
  });
});
