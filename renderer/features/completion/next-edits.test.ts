import { beforeEach, expect, it } from 'vitest';
import { isRepair, NextEdits, type Problem } from './next-edits.ts';

const signal = new AbortController().signal;
let isOn: boolean;
let problems: Problem[];
let asked: string[];
let answer: string | null;
let said: string[];
let edits: NextEdits;

beforeEach(() => {
  isOn = true;
  problems = [];
  asked = [];
  answer = null;
  said = [];
  edits = new NextEdits({
    isOn: () => isOn,
    problems: () => problems,
    writeLine: async ({ prefix, suffix }) => {
      asked.push(`${prefix}|${suffix}`);
      return answer;
    },
    onProposed: () => said.push('proposed'),
    onDone: () => said.push('done'),
  });
});

/** The variable gets another letter. */
function rename(): void {
  const step = { offset: 5, nRemoved: 0, inserted: 's' };
  edits.edited({ id: 'b', before: 'let n = 1;\nf(n);\n', after: 'let ns = 1;\nf(n);\n', step });
}

it('proposes what follows from the last change, until it is dismissed', async () => {
  rename();
  expect(edits.isFresh('b')).toBe(true);
  expect(await edits.next('b', 6, signal)).toEqual({ offset: 14, from: 'n', to: 'ns' });
  expect(said).toEqual(['proposed']);
  edits.rejected();
  expect(await edits.next('b', 6, signal)).toBeNull();
  expect(said).toEqual(['proposed', 'done']);
});

it('proposes nothing in another text, after an undo, and where it is off', async () => {
  rename();
  expect(await edits.next('other', 0, signal)).toBeNull();
  isOn = false;
  expect(edits.isFresh('b')).toBe(false);
  expect(await edits.next('b', 6, signal)).toBeNull();
  isOn = true;
  edits.edited({ id: 'b', before: 'let ns = 1;\nf(n);\n', after: 'let n = 1;\nf(n);\n', step: null });
  expect(await edits.next('b', 6, signal)).toBeNull();
});

it('asks the model once about a line with an error near the cursor, and takes a small change only', async () => {
  const text = 'a();\n  f(1;\nb();\n';
  edits.edited({ id: 'b', before: '', after: text, step: null });
  problems = [
    { line: 1, message: 'on the line of the cursor' },
    { line: 2, message: "')' expected" },
  ];
  answer = 'f(1);';
  expect(await edits.repair('b', 0, signal)).toEqual({ offset: 7, from: 'f(1;', to: 'f(1);' });
  expect(asked).toEqual(['a();\n  |\nb();\n']);
  expect(await edits.repair('b', 0, signal)).toBeNull();
  expect(asked).toHaveLength(1);
});

it('knows a repair from another thought', () => {
  expect(isRepair('f(1;', 'f(1);')).toBe(true);
  expect(isRepair('f(1;', 'f(1;')).toBe(false);
  expect(isRepair('return price * count', 'while (true) {}')).toBe(false);
  expect(isRepair('x', '')).toBe(false);
});

it('the next key ends a pause', async () => {
  rename();
  const abort = new AbortController();
  const waiting = edits.next('b', 6, abort.signal);
  abort.abort();
  await expect(waiting).rejects.toThrow();
  expect(said).toEqual([]);
});
