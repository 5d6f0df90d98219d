// Every template of the shared data folder, with every recorded conversation, against Hugging Face transformers:
// scripts/template-reference/record.py. Long texts are recorded as digests.
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { Template } from './jinja/template.ts';
import { attempt, type Result, readLines, renderAsRecorded } from './jinja/testing/vectors.ts';
import { tinyLlama } from './testing/templates.ts';

interface Conversation {
  name: string;
  context: Record<string, unknown>;
}

interface Vector {
  template: string;
  digest: string;
  /** One per conversation: the digest of the text, or the error. */
  results: (string | { error: { type: string; message: string } })[];
}

const folder = new URL('../../../shared/data/tokenizers/chat-templates/', import.meta.url);
const conversations = readLines<Conversation>(new URL('testdata/conversations.jsonl', import.meta.url));
const vectors = readLines<Vector>(new URL('testdata/chat-vectors.jsonl', import.meta.url));

const digest = (text: string) => createHash('sha256').update(text).digest('hex').slice(0, 32);

function sourceOf({ template }: Vector): string | null {
  if (template === 'TinyLlama') return tinyLlama;
  const file = new URL(`${template}.jinja`, folder);
  return existsSync(file) ? readFileSync(file, 'utf8') : null;
}

function shortened(result: Result): Vector['results'][number] {
  if ('text' in result) return digest(result.text);
  const { type, message } = result.error;
  return { error: { type, message } };
}

describe('renders as the reference does', () => {
  it('has something to compare', () => {
    expect(vectors.length).toBeGreaterThan(70);
    expect(conversations.length).toBeGreaterThan(110);
  });

  for (const vector of vectors) {
    const source = sourceOf(vector);
    const name = source === null ? `${vector.template} (skipped: ../shared/data is absent)` : vector.template;
    it.skipIf(source === null)(name, () => {
      expect(digest(source ?? ''), 'the template is not the recorded one').toBe(vector.digest);
      const template = new Template(source ?? '');
      const differing = conversations.filter(({ context }, i) => {
        const got = shortened(attempt(() => renderAsRecorded(template, context)));
        return JSON.stringify(got) !== JSON.stringify(vector.results[i]);
      });
      expect(differing.map((conversation) => conversation.name)).toEqual([]);
    });
  }
});
