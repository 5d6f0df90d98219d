import { expect, it } from 'vitest';
import { splitReasoning } from './reasoning.ts';

const thought = (reasoning: string, answer: string, isThinking = false) => ({ reasoning, answer, isThinking });

it.each([
  ['no thought', 'An answer.', thought('', 'An answer.')],
  ['a thought', '<think>\nHm.\n</think>\n\nAn answer.', thought('Hm.', 'An answer.')],
  ['an empty one', '<think>\n\n</think>\n\nAn answer.', thought('', 'An answer.')],
  ['other marks', '[THINK]Hm.[/THINK]An answer.', thought('Hm.', 'An answer.')],
  ['one that is not over', '<thinking>Hm, well', thought('Hm, well', '', true)],
  ['a mark that is on its way', '<thi', thought('', '', true)],
  ['one that the template began', 'Hm.\n</think>\n\nAn answer.', thought('Hm.', 'An answer.')],
  ['channels', 'analysisWe add. Done.assistantfinalIt is 4.', thought('We add. Done.', 'It is 4.')],
  ['channels that are not over', 'analysisWe add', thought('We add', '', true)],
  ['code of the answer', '<think>a</think>```\n</think>\n```', thought('a', '```\n</think>\n```')],
])('finds %s', (_name, content, expected) => {
  expect(splitReasoning(content)).toEqual(expected);
});

it.each([
  'The tag </think> ends it.',
  'As in:\n```html\n</think>\n```\n',
  'First words, then <think>no thought</think>.',
  '<div>not a thought</div>',
  'analysis of the text',
  'analyses',
])('takes %j for an answer', (content) => {
  expect(splitReasoning(content)).toEqual(thought('', content));
});

it('gives every letter of a reply to one of both, at each moment of its growing', () => {
  const content = '<think>\nOne. Two.\n</think>\n\nThree.';
  for (let end = 0; end <= content.length; end++) {
    const { reasoning, answer, isThinking } = splitReasoning(content.slice(0, end));
    expect(isThinking).toBe(end > 0 && end < content.indexOf('</think>') + '</think>'.length);
    expect('Three.'.startsWith(answer)).toBe(true);
    if (!isThinking && end > 0) expect(reasoning).toBe('One. Two.');
  }
});
