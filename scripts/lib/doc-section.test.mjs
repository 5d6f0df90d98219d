import { describe, expect, it } from 'vitest';
import { barPlot, markdownTable, replaceSection } from './doc-section.mjs';

describe('a measured section of a page', () => {
  const page = 'a\n<!-- measured: x -->\nold\n<!-- end -->\nb\n<!-- measured: y -->\n<!-- end -->\n';

  it('is replaced and nothing else', () => {
    expect(replaceSection(page, 'x', '\nnew\n', 'p.md')).toBe(page.replace('old', 'new'));
    expect(replaceSection(page, 'y', 'z', 'p.md')).toContain('<!-- measured: y -->\nz\n<!-- end -->');
  });

  it('must be there', () => {
    expect(() => replaceSection(page, 'z', '', 'p.md')).toThrow('p.md has no section');
  });

  it('may hold a table and bars', () => {
    const table = '| a | b |\n| --- | ---: |\n| 1 | 2 |';
    expect(markdownTable([['a', 'b'], ['1', '2']])).toBe(table); // biome-ignore format: rows
    expect(barPlot([{ label: 'x', value: 2 }, { label: 'yy', value: 1 }], 4)).toBe('```\nx   ████ 2.00\nyy  ██ 1.00\n```'); // biome-ignore format: rows
  });
});
