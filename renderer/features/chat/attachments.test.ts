import { expect, it } from 'vitest';
import { attach, tooLong } from './attachments.ts';

it('says that a question is too long, with what is attached', () => {
  expect(tooLong('x'.repeat(1_000_000))).toBeNull();
  expect(tooLong('x'.repeat(1_000_001))).toMatch(/1.000.000 characters .* has 1.000.001\.$/);
  const files = Array.from({ length: 6 }, (_, i) => attach('file', `${i}.txt`, 'y'.repeat(300_000)));
  expect(tooLong('Why?', files.slice(1, 5))).toBeNull();
  expect(tooLong('Why?', files)).not.toBeNull();
});
