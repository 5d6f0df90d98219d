import { expect, it } from 'vitest';
import { formatRecording } from './vectors.mjs';

it('writes a recording as JSON that reads back, with six digits', () => {
  const manifest = { model: { file: 'm.gguf', sha256: '00' }, configurations: ['a', 'b'], note: 'two\nlines' };
  const prompt = { id: 'one', tokens: [1, 2], top: [[[7, 0.123456789]], [[7, 1.23456789e-7]]] };
  const text = formatRecording({
    manifest,
    prompts: [/** @type {import('./vectors.mjs').RecordedPrompt} */ (prompt), { id: 'two', tokens: [], top: [[], []] }],
  });
  expect(JSON.parse(text)).toEqual({
    manifest,
    prompts: [
      { ...prompt, top: [[[7, 0.123457]], [[7, 1.23457e-7]]] },
      { id: 'two', tokens: [], top: [[], []] },
    ],
  });
  expect(text.endsWith('}\n')).toBe(true);
});
