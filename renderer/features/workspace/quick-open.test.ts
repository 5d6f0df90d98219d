import { expect, it } from 'vitest';
import { noPath } from './quick-open.tsx';

it('says that a folder has more files than were looked through', () => {
  expect(noPath(null, 'No file matches.')).toBe('Reading the folder…');
  expect(noPath({ truncated: false }, 'No file matches.')).toBe('No file matches.');
  expect(noPath({ truncated: true }, 'No file matches.')).toMatch(/^No file matches\. Only the first 80.000 files/);
});
