import { describe, expect, it } from 'vitest';
import { addCounts, countCtest, countPlaywright, countTap, countVitest, summaryTable } from './test-results.mjs';

describe('counting tests', () => {
  it('adds parts', () => {
    expect(
      addCounts([
        { passed: 2, failed: 1 },
        { passed: 3, failed: 0 },
      ]),
    ).toEqual({ passed: 5, failed: 1 });
    expect(addCounts([])).toEqual({ passed: 0, failed: 0 });
  });

  it('counts a vitest file that cannot be loaded as a failure', () => {
    const report = {
      numPassedTests: 4,
      numFailedTests: 1,
      testResults: [
        { status: 'passed', assertionResults: [{}, {}] },
        { status: 'failed', assertionResults: [{}, {}, {}] },
        { status: 'failed', assertionResults: [] },
      ],
    };
    expect(countVitest(JSON.stringify(report))).toEqual({ passed: 4, failed: 2 });
  });

  it('counts stories that passed on a second try, and errors outside of stories', () => {
    const report = { stats: { expected: 5, flaky: 1, unexpected: 2, skipped: 3 }, errors: [{}] };
    expect(countPlaywright(JSON.stringify(report))).toEqual({ passed: 6, failed: 3 });
  });

  it("reads the totals of Node's runner, not the text of a test", () => {
    const tap =
      'TAP version 13\nok 1 - prints\n# pass 9\n1..3\n# tests 3\n# pass 1\n# fail 1\n# cancelled 1\n# skipped 0\n';
    expect(countTap(tap)).toEqual({ passed: 1, failed: 2 });
    expect(countTap('')).toEqual({ passed: 0, failed: 0 });
  });

  describe('of CTest', () => {
    /** @param {string} status @param {string} output */
    const program = (status, output) =>
      `<testcase name="t" status="${status}"><system-out>${output}</system-out></testcase>`;
    const line =
      '[doctest] test cases:  41 |  39 passed | 2 failed | 0 skipped\n[doctest] assertions: 9 | 9 passed | 0 failed |';

    it('are the test cases of doctest', () => {
      const text = `<testsuite>${program('fail', line)}${program('run', '')}</testsuite>`;
      expect(countCtest(text)).toEqual({ passed: 40, failed: 2 });
    });

    it('count a program that was ended as a failure', () => {
      expect(countCtest(program('fail', 'Segmentation fault'))).toEqual({ passed: 0, failed: 1 });
      expect(countCtest(program('fail', line.replace('2 failed', '0 failed')))).toEqual({ passed: 39, failed: 1 });
    });
  });
});

it('lines the summary up', () => {
  expect(summaryTable([{ name: 'unit', time: '1.0 s', passed: 12, failed: 0 }])).toBe(
    'part   time  passed  failed\nunit  1.0 s      12       0',
  );
});
