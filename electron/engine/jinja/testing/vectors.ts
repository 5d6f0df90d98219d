// Recorded results of the reference, and ours in the same form.
import { readFileSync } from 'node:fs';
import { TemplateError } from '../errors.ts';
import type { Template } from '../template.ts';

/** What a template gave, or how it failed. */
export type Result = { text: string } | { error: { type: string; message: string; line?: number | null } };

/** What `strftime_now` said while the vectors were recorded: scripts/template-reference/record.py. */
export const recordedNow = new Date(2025, 2, 4, 5, 6, 7, 89);

export function readLines<T>(url: URL): T[] {
  const lines = readFileSync(url, 'utf8').trimEnd().split('\n');
  return lines.map((line) => JSON.parse(line) as T);
}

/** Anything but a TemplateError is a bug of ours and fails the test. */
export function attempt(make: () => string): Result {
  try {
    return { text: make() };
  } catch (error) {
    if (!(error instanceof TemplateError)) throw error;
    return { error: { type: error.type, message: error.message, line: error.line } };
  }
}

/** As transformers renders: `tools` and `documents` are always there. */
export function renderAsRecorded(template: Template, context: Readonly<Record<string, unknown>>): string {
  const given = { tools: null, documents: null, bos_token: '<s>', eos_token: '</s>' };
  return template.render({ ...given, ...context }, { now: recordedNow });
}

/** Whether a result is the recorded one; lines count where the reference tells one. */
export function isSame(wanted: Result, got: Result): boolean {
  if ('text' in wanted) return 'text' in got && got.text === wanted.text;
  if (!('error' in got)) return false;
  const { type, message, line } = wanted.error;
  return got.error.type === type && got.error.message === message && (line === undefined || got.error.line === line);
}
