import { expect, it } from 'vitest';
import { decodeEntities } from './entities.ts';

it('decodes names and numbers once', () => {
  expect(decodeEntities('a &lt; b &amp;lt; &#65;&#x1F600; &#0;')).toBe('a < b &lt; A😀 \ufffd');
});

it('leaves what it does not know', () => {
  expect(decodeEntities('&unknown; & x;')).toBe('&unknown; & x;');
});
