// On the CPU neither the size of the prefill's chunks nor the number of threads changes one bit of the logits.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { engineLogits, engineRun } from '../lib/engine-cli.mjs';
import { readRecording } from '../lib/vectors.mjs';
import { engine } from './setup.mjs';

const { prompts } = await readRecording();
const document = prompts.find(({ id }) => id === 'long-document')?.tokens ?? [];
const tokens = document.slice(0, 150); // not a multiple of any chunk but the whole
const chunks = [1, 7, 64, 256];

for (const threads of [1, 2]) {
  test(`logits are the same to the bit for chunks of ${chunks.join(', ')} tokens on ${threads} threads`, async () => {
    assert.equal(tokens.length, 150);
    const [expected] = await engineLogits(engine, [tokens], ['--threads', '1']);
    for (const chunk of chunks) {
      const [logits] = await engineLogits(engine, [tokens], ['--threads', `${threads}`, '--chunk', `${chunk}`]);
      assert.deepEqual(logits, expected, `chunks of ${chunk}`);
    }
  });
}

test('a greedy reply is the same every time', async () => {
  const prompt = 'def fibonacci(n):\n    ';
  const first = await engineRun(engine, prompt, 48);
  assert.ok(first.length > 40, first);
  assert.equal(await engineRun(engine, prompt, 48), first);
});
