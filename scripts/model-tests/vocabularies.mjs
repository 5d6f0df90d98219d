// Our tokens against llama.cpp's, live, for the vocabularies of many families: megabytes of source code and of odd
// Unicode for each, and every way to split text.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { engineTokenizeAll } from '../lib/engine-cli.mjs';
import { peerTokenize } from '../lib/peer-tokenize.mjs';
import {
  preTokenizers,
  splitTexts,
  unigramKinds,
  unigramTexts,
  unigramVocabulary,
  vocabulariesDirectory,
  withPeer,
} from '../lib/tokenizer-vectors.mjs';
import { withPreTokenizer } from '../lib/vocabulary-file.mjs';
import { engine, skipWithoutPeer } from './setup.mjs';
import { codePointTexts, oddTexts, sourceTexts } from './texts.mjs';

const nLeastBytes = 2_000_000;
const families = 'llama-spm phi-3 gpt-2 starcoder falcon deepseek-coder llama-bpe qwen2 qwen35 bert-bge'.split(' ');
/** @param {string} name */
const fileOf = (name) => join(vocabulariesDirectory, `ggml-vocab-${name}.gguf`);
const skip = skipWithoutPeer || (existsSync(vocabulariesDirectory) ? false : `${vocabulariesDirectory} is absent`);

const pieces = [...new Set(splitTexts.join(' '))];
/** The characters of the texts that tell splitters apart, mixed anew. */
const mixedTexts = Array.from({ length: 400 }, (_, i) => ({
  name: `mixed ${i}`,
  text: Array.from({ length: 40 }, (_, k) => pieces[(i * 7919 + k * k * 104729 + k * i) % pieces.length]).join(''),
}));
const texts = [
  ...(await sourceTexts()),
  ...oddTexts(),
  ...codePointTexts(),
  ...mixedTexts,
  ...splitTexts.map((text) => ({ name: JSON.stringify(text), text })),
].filter(({ text }) => text !== '');

/**
 * @param {string} model
 * @param {{ name: string, text: string }[]} some
 * @param {boolean} parseSpecial
 */
async function compare(model, some, parseSpecial) {
  const expected = await peerTokenize({ model, texts: some.map(({ text }) => text), parseSpecial });
  const options = parseSpecial ? ['--parse-special'] : [];
  const ours = await engineTokenizeAll(
    { program: engine.program, model },
    some.map(({ text }) => text),
    options,
  );
  for (const [i, { name }] of some.entries()) assert.deepEqual(ours[i], expected[i], name);
}

for (const name of families) {
  test(`${name}: source code and odd texts give the tokens of llama.cpp`, { skip }, async (t) => {
    const nBytes = texts.reduce((sum, { text }) => sum + Buffer.byteLength(text), 0);
    t.diagnostic(`${texts.length} texts, ${nBytes} bytes`);
    assert.ok(nBytes >= nLeastBytes, `${nBytes} bytes; at least ${nLeastBytes}`);
    await compare(fileOf(name), texts, false);
    await compare(fileOf(name), texts.slice(0, 200), true);
  });
}

test('every way to split gives the tokens of llama.cpp', { skip }, async () => {
  const some = texts.filter(({ text }, i) => i % 8 === 0 || text.length < 200);
  const gpt2 = await readFile(fileOf('gpt-2'));
  await withPeer(async (_, folder) => {
    for (const name of preTokenizers) {
      const model = join(folder, `${name}.gguf`);
      await writeFile(model, withPreTokenizer(gpt2, name));
      await compare(model, some, false);
    }
  });
});

test('unigram vocabularies give the tokens of llama.cpp', { skip: skipWithoutPeer }, async () => {
  await withPeer(async (_, folder) => {
    for (const [i, how] of unigramKinds.entries()) {
      const model = join(folder, `unigram-${i}.gguf`);
      await writeFile(model, unigramVocabulary(how));
      const some = [...unigramTexts.map((text) => ({ name: JSON.stringify(text), text })), ...mixedTexts];
      await compare(model, some, false);
    }
  });
});
