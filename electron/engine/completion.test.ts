// Inline completions by a model that searches for lines: what the engine is asked for.
import { expect, it } from 'vitest';
import { complete } from './completion.ts';
import { fimFormat } from './completion-formats.ts';
import type { NativeModel } from './native.d.ts';
import { FakeEngine, fakeTokenizer } from './testing/fake-addon.ts';
import { completeRequest } from './testing/served.ts';

const specials = ['<s>', '</s>', '<|fim_prefix|>', '<|fim_suffix|>', '<|fim_middle|>', '<|end_of_turn|>'];
const first = 0x20000;
const fim = { prefix: first + 2, suffix: first + 3, middle: first + 4, repository: -1, fileSeparator: -1 };

function open() {
  const tokenizer = fakeTokenizer(specials, { fim });
  const engine = new FakeEngine();
  const model = tokenizer as unknown as NativeModel;
  return { engine, completion: { model, engine, fim: fimFormat(model), nCtx: 2048 }, show: tokenizer.show };
}

it('chooses a line among candidates by the text behind it', async () => {
  const { engine, completion, show } = open();
  const call = complete(completion, completeRequest({ prefix: 'a();\n  ', suffix: '\n  c();\n' }), undefined);
  const { request, sink, done } = await engine.submitted();
  expect(request).toMatchObject({ candidates: 8, followedBy: '\n  c();\n', beginWith: '\n  ', temperature: 0 });
  expect(show(request.tokens)).toBe('[[BOS]]a();');
  sink.onText?.('b();', 3);
  done('stop_string', undefined, { logProbs: Float32Array.of(Math.log(0.25)) });
  expect(await call).toMatchObject({ text: 'b();', usedSuffix: true, confidence: expect.closeTo(0.25, 6) });
});

it('warms up both prompts, because a key may lead from one to the other', async () => {
  const { engine, completion, show } = open();
  const warmUp = completeRequest({ prefix: 'a();\n  b', suffix: '\n  c();\n', isWarmUp: true });
  const call = complete(completion, warmUp, undefined);
  for (const [i, prompt] of [
    '[[BOS]][[<|fim_suffix|>]]\n  c();\n[[<|fim_prefix|>]]a();[[<|fim_middle|>]]',
    '[[BOS]]a();',
  ].entries()) {
    const { request, done } = await engine.submitted(i);
    expect(request).toMatchObject({ nPredict: 1, priority: 'background' });
    expect(request).not.toHaveProperty('candidates');
    expect(show(request.tokens)).toBe(prompt);
    done('length');
  }
  await call;
  expect(engine.requests).toHaveLength(2);
});

it('does not warm up the second prompt when a key ended the first', async () => {
  const { engine, completion } = open();
  const stopping = new AbortController();
  const call = complete(completion, completeRequest({ prefix: 'a', suffix: ';', isWarmUp: true }), stopping.signal);
  await engine.submitted();
  stopping.abort();
  await expect(call).rejects.toMatchObject({ name: 'AbortError' });
  expect(engine.requests).toHaveLength(1);
});

it('ends a block where the file goes on, and does not wait for what would be cut off', async () => {
  const { engine, completion } = open();
  const block = completeRequest({ mode: 'block', prefix: 'f() {\n  ', suffix: '\n}\n' });
  const call = complete(completion, block, undefined);
  const { sink } = await engine.submitted();
  sink.onText?.('a();', 4);
  sink.onText?.('\n}', 6);
  expect(await call).toMatchObject({ text: 'a();', reason: 'stop_string' });
});

it('is as sure of a block as of what is left of it', async () => {
  const { engine, completion } = open();
  const block = completeRequest({ mode: 'block', prefix: 'f() {\n  ', suffix: '\n}\n' });
  const call = complete(completion, block, undefined);
  const { sink, done } = await engine.submitted();
  sink.onText?.('ab\n}', 4);
  done('end_of_text', undefined, { logProbs: Float32Array.from([0.5, 0.5, 0.01, 0.01], Math.log) });
  expect(await call).toMatchObject({ text: 'ab', confidence: expect.closeTo(0.5, 6) });
});

it('says that a block was cancelled, however far it was', async () => {
  const { engine, completion } = open();
  const stopping = new AbortController();
  const block = completeRequest({ mode: 'block', prefix: 'f() {\n  ', suffix: '\n}\n' });
  const call = complete(completion, block, stopping.signal);
  const { sink } = await engine.submitted();
  sink.onText?.('a();', 4);
  stopping.abort();
  await expect(call).rejects.toMatchObject({ name: 'AbortError' });
});
