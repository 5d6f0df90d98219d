// Measured parts of a page in docs/: what stands between two comments is replaced, the rest is a person's.
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { root, SetupError } from './process.mjs';

/**
 * @param {string} page such as docs/speculation.md
 * @param {string} name of the section: it lies between `<!-- measured: name -->` and `<!-- end -->`
 * @param {string} text Markdown
 */
export async function writeSection(page, name, text) {
  const path = join(root, page);
  await writeFile(path, replaceSection(await readFile(path, 'utf8'), name, text, page));
}

/** @param {string} whole @param {string} name @param {string} text @param {string} page for the message */
export function replaceSection(whole, name, text, page) {
  const begin = `<!-- measured: ${name} -->`;
  const from = whole.indexOf(begin);
  const to = whole.indexOf('<!-- end -->', from);
  if (from < 0 || to < 0) throw new SetupError(`${page} has no section "${begin}" that ends with "<!-- end -->".`);
  return `${whole.slice(0, from + begin.length)}\n${text.trim()}\n${whole.slice(to)}`;
}

/** Rows as a Markdown table, the first being its head. @param {string[][]} rows */
export function markdownTable([head = [], ...rows]) {
  const line = (/** @type {string[]} */ cells) => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map((_, i) => (i === 0 ? '---' : '---:'))), ...rows.map(line)].join('\n');
}

/**
 * Bars as text: a plot that a diff can show.
 * @param {{ label: string, value: number }[]} bars @param {number} [width] of the longest, in characters
 */
export function barPlot(bars, width = 40) {
  const most = Math.max(...bars.map(({ value }) => value), Number.MIN_VALUE);
  const labelWidth = Math.max(...bars.map(({ label }) => label.length));
  const lines = bars.map(({ label, value }) => {
    const n = Math.round((value / most) * width);
    return `${label.padEnd(labelWidth)}  ${'█'.repeat(n)} ${value.toFixed(2)}`;
  });
  return ['```', ...lines, '```'].join('\n');
}
