import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { beforeEach, describe, expect, it } from 'vitest';

const here = new URL('.', import.meta.url);
/** @param {string} name @returns {string[]} */
const recorded = (name) =>
  readFileSync(new URL(`testdata/${name}`, here), 'utf8')
    .trim()
    .split('\n');
// What both programs printed for a small model, on a processor: decode with flash attention on and off, and prompts of 256
// with 64 and 256 tokens at once, each with both.
const peerLines = recorded('llama-bench.jsonl').map((line) => ({ ...JSON.parse(line), gpu_info: 'A GPU' }));
const ourLine = JSON.parse(recorded('outpost-bench.jsonl')[0] ?? '');

/** @type {object[]} */
let notes;
/** @param {string} program @param {number} pair @param {object} result @param {object} [changes] */
const note = (program, pair, result, changes) =>
  notes.push({ shape: '15m-q8_0', pair, program, result: { ...result, ...changes } });

/** @param {string} [brokenLine] behind the others @returns {{ text: string, status: number | null }} */
function report(brokenLine = '') {
  const input = `${notes.map((entry) => JSON.stringify(entry)).join('\n')}\n${brokenLine}`;
  const { stdout, stderr, status } = spawnSync('python3', ['scripts/peer/gpu_report.py', '-', '0.5.0'], {
    input,
    encoding: 'utf8',
  });
  expect(stderr).toBe('');
  return { text: stdout, status };
}

/** @param {string} text @param {string} what @returns {string[]} the cells of a row */
const row = (text, what) =>
  (text.split('\n').find((line) => line.includes(`| ${what} |`)) ?? '')
    .split('|')
    .map((cell) => cell.trim())
    .slice(1, -1);

beforeEach(() => {
  notes = [];
});

/** Both programs, as one pair of a model that takes all rates times `factor`. @param {number} pair @param {number} [factor] */
function notePair(pair, factor = 1) {
  for (const line of peerLines) {
    note('llama.cpp', pair, line, { samples_ts: line.samples_ts.map((/** @type {number} */ rate) => rate * factor) });
  }
  note('outpost', pair, ourLine);
}

describe('the report of the peer on a GPU', () => {
  it('reads what both programs print, and takes the better setting of the peer', () => {
    notePair(1);
    const { text, status } = report();
    expect(status).toBe(0);
    expect(text).toContain('llama.cpp 0.5.0 on A GPU');
    const decode = ['157.5', 'flash attention off'];
    expect(row(text, 'decode at 128').slice(2)).toEqual([...decode, '189.1', '1.20 (1.20 to 1.20)']);
    expect(row(text, 'decode at 128; ours with sampling, from position 2').slice(2)).toEqual([
      ...decode,
      '445.6',
      '2.83 (2.83 to 2.83)',
    ]);
    const prefill = ['1,531', 'flash attention on, 256 at once', '7,341', '4.79 (4.79 to 4.79)'];
    expect(row(text, 'prefill of 256').slice(2)).toEqual(prefill);
  });

  it('compares what was measured in the same pair, and says how far the pairs are apart', () => {
    notePair(1);
    notePair(2, 2);
    notePair(3, 0.5);
    const { text } = report();
    expect(text).toContain('medians of 3 pairs');
    expect(row(text, 'decode at 128').slice(2)).toEqual([
      '157.5',
      'flash attention off',
      '189.1',
      '1.20 (0.60 to 2.40)',
    ]);
  });

  it('takes of a long context only the time of a step', () => {
    notePair(1);
    note('llama.cpp', 1, peerLines[0], { n_depth: 32752, n_gen: 32, samples_ts: [50] });
    note('outpost steps', 1, ourLine, { depth: 32768, stepMs: { 1: 10 }, prefillTokensPerSecond: 1 });
    const { text, status } = report();
    expect(status).toBe(0);
    expect(row(text, 'decode at 32,768').slice(2)).toEqual([
      '50.0',
      'flash attention on',
      '100.0',
      '2.00 (2.00 to 2.00)',
    ]);
    expect(row(text, 'decode at 32,768; ours with sampling, from position 2')).toEqual([]);
    expect(row(text, 'prefill of 256')[4]).toBe('7,341');
  });

  it('says what is missing, and fails', () => {
    notePair(1);
    notePair(2);
    notes.pop();
    note('llama.cpp', 1, peerLines[0], { n_depth: 32752, n_gen: 32 });
    const { text, status } = report();
    expect(status).toBe(1);
    expect(text).toContain('Not measured: 15m-q8_0, decode at 128: 1 of 2 pairs.');
    expect(text).toContain('Not measured: 15m-q8_0, decode at 32,768: nothing of outpost.');
  });

  it('counts pairs of each model by itself, as calls that measure one leave them', () => {
    notePair(1);
    notePair(2);
    for (const line of peerLines) notes.push({ shape: 'other', pair: 3, program: 'llama.cpp', result: line });
    notes.push({ shape: 'other', pair: 3, program: 'outpost', result: ourLine });
    const { text, status } = report();
    expect(status).toBe(0);
    expect(text).toContain('medians of 1 or 2 pairs');
  });

  it('does without lines that were broken off, and says so', () => {
    notePair(1);
    const { text, status } = report('{"shape":"15m-q8_0","pair":2,"program":"outpost","result":{"backe');
    expect(status).toBe(0);
    expect(text).toContain('medians of 1 pairs');
    expect(text).toContain('1 lines were broken');
  });

  it('fails where the peer computed without a GPU', () => {
    for (const line of peerLines) note('llama.cpp', 1, line, { gpu_info: '' });
    note('outpost', 1, ourLine);
    const { text, status } = report();
    expect(status).toBe(1);
    expect(text).toContain('Not measured: llama.cpp found no GPU.');
  });

  it('fails where nothing was measured', () => {
    expect(report()).toEqual({ text: 'Nothing was measured.\n', status: 1 });
  });
});
