// Our tokens against llama.cpp's: its own test vectors everywhere, a megabyte of source text where it runs.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { engineTokenize } from '../lib/engine-cli.mjs';
import { askPeer } from '../lib/peer.mjs';
import { vectorsDirectory } from '../lib/vectors.mjs';
import { engine, skipWithoutPeer } from './setup.mjs';
import { oddTexts, sourceTexts } from './texts.mjs';

const nLeastBytes = 1_000_000;

test("llama.cpp's test vectors give the recorded tokens", async () => {
  const inputs = await readFile(join(vectorsDirectory, 'llama-spm.inp'), 'utf8');
  const outputs = await readFile(join(vectorsDirectory, 'llama-spm.out'), 'utf8');
  const texts = inputs.split('\n__ggml_vocab_test__\n');
  const expected = outputs.split('\n').map((line) => line.trim().split(' ').filter(Boolean).map(Number));
  assert.ok(texts.length > 40);
  for (const [i, text] of texts.entries()) assert.deepEqual(await engineTokenize(engine, text), expected[i], text);
});

test('source code and odd texts give the tokens of llama.cpp, live', { skip: skipWithoutPeer }, async (t) => {
  const texts = [...(await sourceTexts()), ...oddTexts()];
  const nBytes = texts.reduce((sum, { text }) => sum + Buffer.byteLength(text), 0);
  t.diagnostic(`${texts.length} texts, ${nBytes} bytes`);
  assert.ok(nBytes >= nLeastBytes, `${nBytes} bytes; at least ${nLeastBytes}`);
  const { tokenized } = await askPeer({ model: engine.model, texts: texts.map(({ text }) => text) });
  for (const [i, { name, text }] of texts.entries())
    assert.deepEqual(await engineTokenize(engine, text), tokenized[i], name);
});
