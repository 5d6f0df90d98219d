import { describe, expect, it, vi } from 'vitest';
import { type ChatRequest, engineContract } from '../common/engine-contract.ts';
import { connect } from '../testing/connect.ts';
import { fakeTokenizer, nativeError, stats } from './testing/fake-addon.ts';
import { chatRequest, collect, completeRequest, ready, sampler } from './testing/served.ts';

describe('texts to guess ahead from', () => {
  it('reach the engine with a chat and with a completion, and only where there are some', async () => {
    const { client, engine } = await ready();
    const events = collect(await client.chat({ ...chatRequest(), original: 'let x = 1', texts: ['a', 'b'] }));
    const chat = await engine.submitted(0);
    expect(chat.request).toMatchObject({ original: 'let x = 1', texts: ['a', 'b'], priority: 'chat' });
    chat.done('end_of_text');
    await events;
    const completing = client.complete(completeRequest({ texts: ['c'], deadlineMs: 500 }));
    const complete = await engine.submitted(1);
    expect(complete.request).toMatchObject({ texts: ['c'], deadlineMs: 500, priority: 'inline' });
    complete.done('deadline');
    expect(await completing).toMatchObject({ reason: 'deadline', stats: { drafts: { edit: { nDrafted: 0 } } } });
    const plain = client.complete(completeRequest());
    const request = await engine.submitted(2);
    expect(Object.keys(request.request)).not.toContain('texts');
    expect(Object.keys(request.request)).not.toContain('deadlineMs');
    request.done('end_of_text');
    await plain;
  });
});

describe('a chat reply', () => {
  it('asks with the rendered conversation and the settings, and streams the answer', async () => {
    const { client, engine } = await ready();
    const reply = collect(await client.chat(chatRequest('Hi</s>')));
    const { request, sink, done } = await engine.submitted();
    const { maxTokens, ...sampling } = sampler;
    expect(request).toMatchObject({ ...sampling, nPredict: maxTokens, seed: 7, priority: 'chat' });
    expect(request.stop).toContain('<|user|>');
    expect(fakeTokenizer().show(request.tokens)).toBe('[[BOS]]<|user|>\nHi</s>[[</s>]]\n<|assistant|>\n');
    sink.onPrefill?.(5, 5);
    sink.onText?.('Hel', 1);
    sink.onText?.('lo 😀', 3);
    done('end_of_text');
    const events = await reply;
    expect(events.map(({ type }) => type)).toEqual(['prefill', 'text', 'text', 'done']);
    expect(events.map((event) => (event.type === 'text' ? event.text : '')).join('')).toBe('Hello 😀');
    const { logProbs: _mine, ...rest } = stats;
    expect(events.at(-1)).toEqual({ type: 'done', reason: 'end_of_text', stats: rest });
  });

  it('takes tools, their calls and their results to a template that can say them', async () => {
    const chatTemplate =
      "{{ tools|map(attribute='function.name')|join if tools }}{% for m in messages %}[{{ m.role }}]{{ m.content }}" +
      "{% for c in m.tool_calls or [] %}{{ c.function|tojson }}{% endfor %}{% endfor %}{{ '#' if thinking is false }}";
    const { client, engine } = await ready({ chatTemplate });
    const { value: status } = await (await client.status()).next();
    const features = { tools: true, toolCalls: true, parallelToolCalls: true, reasoning: false, thinkingSwitch: true };
    expect(status).toMatchObject({ model: { chatFeatures: features } });

    const messages: ChatRequest['messages'] = [
      { role: 'user', content: 'Find it' },
      { role: 'assistant', content: '', toolCalls: [{ id: 'call00001', name: 'find', arguments: { path: 'a</s>' } }] },
      { role: 'tool', content: 'b</s>', toolCallId: 'call00001' },
    ];
    const tools = [{ name: 'find', description: 'Finds.', parameters: { type: 'object' } }];
    const reply = collect(await client.chat({ messages, tools, thinking: false, sampler }));
    const { request, done } = await engine.submitted();
    const prompt = 'find[user]Find it[assistant]{"name": "find", "arguments": {"path": "a</s>"}}[tool]b</s>#';
    expect(fakeTokenizer().show(request.tokens)).toBe(`[[BOS]]${prompt}`);
    const counted = await client.countTokens({ messages, tools, thinking: false });
    expect(counted.nTokens).toBe(prompt.length + 1);
    done('end_of_text');
    await reply;
  });

  it('refuses what could be no call of a tool', async () => {
    const { client } = await ready();
    for (const id of ['', '</s>', 'a b', 'x'.repeat(200)]) {
      const messages: ChatRequest['messages'] = [{ role: 'tool', content: 'r', toolCallId: id }];
      await expect(client.chat({ messages, sampler }), id).rejects.toMatchObject({ code: 'INTERNAL' });
    }
  });

  it('takes another seed every time if none is given', async () => {
    const { client, engine } = await ready();
    const { seed: _, ...request } = chatRequest();
    const seeds = new Set<number | undefined>();
    for (let i = 0; i < 3; i++) {
      const reply = collect(await client.chat(request));
      const submitted = await engine.submitted(i);
      seeds.add(submitted.request.seed);
      submitted.done('length');
      await reply;
    }
    expect(seeds.size).toBe(3);
  });

  it('says first how many turns were left out, and keeps a quarter of the context for the reply', async () => {
    const { client, engine } = await ready({ nCtxTrain: 200 });
    const turn = (role: 'user' | 'assistant') => ({ role, content: 'x'.repeat(40) });
    const messages = [turn('user'), turn('assistant'), turn('user'), turn('assistant'), turn('user')];
    const reply = collect(await client.chat({ messages, sampler }));
    const { request, done } = await engine.submitted();
    expect(request.tokens.length).toBeLessThanOrEqual(150);
    expect(request.nPredict).toBe(200 - request.tokens.length);
    done('length');
    expect((await reply)[0]).toEqual({ type: 'shortened', nDropped: 4 });
  });

  it('is refused before its first event if the question is too long', async () => {
    const { client, engine } = await ready({ nCtxTrain: 200 });
    await expect(client.chat(chatRequest('x'.repeat(300)))).rejects.toMatchObject({ code: 'CONTEXT_FULL' });
    expect(engine.requests).toEqual([]);
  });

  it('is cancelled in the engine when the window aborts', async () => {
    const { client, engine } = await ready();
    const stopping = new AbortController();
    const stream = await client.chat(chatRequest(), { signal: stopping.signal });
    const running = await engine.submitted();
    running.sink.onText?.('a', 1);
    await stream.next();
    stopping.abort();
    await vi.waitUntil(() => running.isCancelled);
  });

  it('is cancelled in the engine when the window stops reading', async () => {
    const { client, engine } = await ready();
    void engine.submitted().then(({ sink }) => sink.onText?.('a', 1));
    for await (const _ of await client.chat(chatRequest())) break;
    await vi.waitUntil(() => engine.requests[0]?.isCancelled);
  });

  it('is cancelled in the engine when the window dies', async () => {
    const { engine, service } = await ready();
    const { client, port } = connect(engineContract, service.router());
    const stream = await client.chat(chatRequest());
    const running = await engine.submitted();
    port.close();
    await vi.waitUntil(() => running.isCancelled);
    await stream.return?.().catch(() => {});
  });

  it('ends with the error of the engine', async () => {
    const { client, engine, log } = await ready();
    const reply = collect(await client.chat(chatRequest()));
    (await engine.submitted()).done('error', nativeError('out_of_memory', 'No room.'));
    await expect(reply).rejects.toMatchObject({
      code: 'OUT_OF_MEMORY',
      message: 'No room.',
      data: { hint: expect.any(String) },
    });
    expect(log).not.toHaveBeenCalled();
  });
});

describe('an inline completion', () => {
  it('asks for the likeliest text up to the end of the line, before any chat', async () => {
    const { client, engine } = await ready();
    const call = client.complete(completeRequest());
    const { request, sink, done } = await engine.submitted();
    expect(request).toMatchObject({ nPredict: 32, temperature: 0, stop: ['\n'], priority: 'inline' });
    expect(fakeTokenizer().show(request.tokens)).toBe('[[BOS]]const x =');
    sink.onText?.(' 1', 1);
    sink.onText?.(';', 2);
    done('stop_string');
    expect(await call).toMatchObject({ text: ' 1;', reason: 'stop_string', usedSuffix: false, confidence: null });
  });

  it('tells how sure the model was of it: the mean probability of a token', async () => {
    const { client, engine } = await ready();
    const call = client.complete(completeRequest());
    const { request, done } = await engine.submitted();
    expect(request.logProbs).toBe(true);
    done('length', undefined, { logProbs: Float32Array.of(Math.log(0.9), Math.log(0.4), Math.log(0.6)) });
    expect((await call).confidence).toBeCloseTo((0.9 * 0.4 * 0.6) ** (1 / 3), 6);
  });

  it('may hold several lines as a block', async () => {
    const { client, engine } = await ready();
    const call = client.complete(completeRequest({ mode: 'block' }));
    const { request, done } = await engine.submitted();
    expect(request.stop).toEqual(['\n\n']);
    done('length');
    await call;
  });

  it('leaves the unfinished word out of the prompt and makes the reply begin with it', async () => {
    const { client, engine } = await ready();
    const call = client.complete(completeRequest({ prefix: 'const x = fo', maxTokens: 8 }));
    const { request, done } = await engine.submitted();
    expect(fakeTokenizer().show(request.tokens)).toBe('[[BOS]]const x =');
    expect(request.beginWith).toBe(' fo');
    expect(request.nPredict).toBeGreaterThan(8);
    done('length');
    await call;
  });

  it('never takes special tokens from the text', async () => {
    const { client, engine } = await ready();
    const call = client.complete(completeRequest({ prefix: 'a</s>' }));
    const { request, done } = await engine.submitted();
    expect(fakeTokenizer().show(request.tokens)).toBe('[[BOS]]a</s>');
    done('length');
    await call;
  });

  it.each([
    [100, 32, 'x'.repeat(500)],
    [16, 512, 'x'.repeat(500)],
    [16, 512, ''],
  ])('fits into a context of %i with %i tokens to come', async (nCtxTrain, maxTokens, prefix) => {
    const { client, engine } = await ready({ nCtxTrain });
    const call = client.complete(completeRequest({ prefix, maxTokens }));
    const { request, done } = await engine.submitted();
    expect(request.tokens.length).toBeGreaterThan(0);
    expect(request.nPredict).toBeGreaterThan(0);
    expect(request.tokens.length + request.nPredict).toBeLessThanOrEqual(nCtxTrain);
    done('length');
    await call;
  });

  it('shows a model that fills gaps both sides of the cursor', async () => {
    const fim = { prefix: 1001, suffix: 1002, middle: 1003, repository: -1, fileSeparator: -1 };
    const { client, engine } = await ready({ fim });
    const call = client.complete(completeRequest({ prefix: 'a =', suffix: ';' }));
    const { request, done } = await engine.submitted();
    expect([...request.tokens]).toEqual([1, 1001, 97, 32, 61, 1002, 59, 1003]);
    done('end_of_text');
    expect(await call).toMatchObject({ usedSuffix: true });
  });

  it('only fills the cache to warm up, behind everything else', async () => {
    const { client, engine } = await ready();
    const call = client.complete(completeRequest({ prefix: 'a = fo', isWarmUp: true }));
    const { request, done } = await engine.submitted();
    expect(request).toMatchObject({ nPredict: 1, priority: 'background' });
    expect(request).not.toHaveProperty('beginWith');
    done('length');
    await call;
  });

  it('is cancelled in the engine by the next keystroke', async () => {
    const { client, engine, log } = await ready();
    const stopping = new AbortController();
    const call = client.complete(completeRequest(), { signal: stopping.signal });
    const running = await engine.submitted();
    stopping.abort();
    await expect(call).rejects.toMatchObject({ name: 'AbortError' });
    await vi.waitUntil(() => running.isCancelled);
    expect(log).not.toHaveBeenCalled();
  });
});

it('counts the tokens of a conversation', async () => {
  const { client } = await ready();
  const { nTokens, nCtx } = await client.countTokens({ messages: chatRequest().messages });
  expect({ nTokens, nCtx }).toEqual({ nTokens: '^<|user|>\nHi$\n<|assistant|>\n'.length, nCtx: 2048 });
});
