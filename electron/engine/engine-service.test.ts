import { describe, expect, it, onTestFinished, vi } from 'vitest';
import {
  type ChatRequest,
  type CompleteRequest,
  type EngineStatus,
  engineContract,
  engineControlContract,
  type GenerateEvent,
} from '../common/engine-contract.ts';
import type { Assignment, EngineEvent, ModelSpec } from '../common/role-contract.ts';
import { settingsSchema } from '../common/settings.ts';
import { connect } from '../testing/connect.ts';
import { EngineService } from './engine-service.ts';
import type { NativeModelInfo } from './native.d.ts';
import { FakeAddon, fakeTokenizer, nativeError, stats } from './testing/fake-addon.ts';
import { tinyLlama } from './testing/templates.ts';

const { sampler } = settingsSchema.parse({});
const file: ModelSpec = {
  id: 'file:/models/fake.gguf',
  modelPath: '/models/fake.gguf',
  name: null,
  nThreads: 3,
  nCtx: 0,
  kvPreset: 'exact',
  memoryBytes: 0,
  chatTemplate: null,
  draft: null,
  contextFile: null,
};
const other = (name: string): ModelSpec => ({ ...file, id: `file:/${name}.gguf`, modelPath: `/${name}.gguf` });
const noRoles = { chat: null, inline: null, draft: null, embedding: null };
const assigned = (roles: Partial<Assignment['roles']>): Assignment => ({
  roles: { ...noRoles, ...roles },
  limitBytes: 0,
  idleMs: 0,
});
const chatRequest = (content = 'Hi'): ChatRequest => ({ messages: [{ role: 'user', content }], sampler, seed: 7 });
const completeRequest = (more: Partial<CompleteRequest> = {}): CompleteRequest => ({
  path: 'a.ts',
  languageId: 'typescript',
  prefix: 'const x =',
  suffix: '',
  repository: '',
  files: [],
  mode: 'line',
  maxTokens: 32,
  isWarmUp: false,
  ...more,
});

/** The engine process's service, called as the window and main call it. */
function served() {
  const addon = new FakeAddon();
  const service = new EngineService(addon);
  const { client } = connect(engineContract, service.router());
  const { client: control } = connect(engineControlContract, service.controlRouter());
  const log = vi.spyOn(console, 'error').mockImplementation(() => {});
  onTestFinished(() => log.mockRestore());
  return { addon, service, client, control, log };
}

async function ready(info: Partial<NativeModelInfo> = {}, nCtx = 0) {
  const all = served();
  const loading = all.service.assign(assigned({ chat: { ...file, nCtx } }));
  const engine = all.addon.lastLoad.succeed({ chatTemplate: tinyLlama, ...info });
  await loading;
  return { ...all, engine };
}

async function collect(stream: AsyncIterable<GenerateEvent>): Promise<GenerateEvent[]> {
  const events: GenerateEvent[] = [];
  for await (const event of stream) events.push(event);
  return events;
}

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

describe('loading', () => {
  it('forgets what models have read, in memory and in their files', async () => {
    const { addon, service, control } = served();
    const assigning = service.assign(assigned({ chat: { ...file, contextFile: '/contexts/a.kv' } }));
    const engine = addon.loads[0]?.succeed();
    await assigning;
    await control.forget();
    expect(engine?.forgotten).toEqual(['/contexts/a.kv']);
  });

  it('checks the context of a model that is in no role, and lets it go again', async () => {
    const { addon, control } = served();
    const checking = control.checkKv(file);
    await vi.waitFor(() => expect(addon.loads).toHaveLength(1));
    const engine = addon.loads[0]?.succeed();
    (await engine?.submitted())?.done('length');
    expect(await checking).toMatchObject({ chosen: 'exact', problem: 'What it computes are no numbers.' });
    expect(engine?.isDisposed).toBe(true);
  });

  it('tells the status from idle over progress to ready', async () => {
    const { addon, client, control } = served();
    const status = await client.status();
    const next = async () => (await status.next()).value as EngineStatus;
    expect(await next()).toEqual({ state: 'idle' });
    const loading = control.assign(assigned({ chat: file }));
    expect(await next()).toEqual({ state: 'loading', modelPath: file.modelPath, progress: 0 });
    for (const progress of [0.005, 0.5, 0.501, 1]) addon.lastLoad.options.onProgress?.(progress);
    expect([await next(), await next()]).toMatchObject([{ progress: 0.5 }, { progress: 1 }]);
    addon.lastLoad.succeed();
    expect(await loading).toEqual(await next());
    expect(await loading).toMatchObject({
      state: 'ready',
      model: { path: file.modelPath, name: 'Fake', nCtx: 2048, hasChatTemplate: false },
    });
    expect(addon.lastLoad).toMatchObject({ path: file.modelPath, options: { nThreads: 3 } });
    await status.return?.();
  });

  it('shows a late subscriber the current status', async () => {
    const { client } = await ready();
    const status = await client.status();
    expect((await status.next()).value).toMatchObject({ state: 'ready' });
    await status.return?.();
  });

  it('calls the model by the given name, that of the file, or its file', async () => {
    const named = async (name: string | null, inFile: string) => {
      const { addon, service } = served();
      const loading = service.assign(assigned({ chat: { ...file, name } }));
      addon.lastLoad.succeed({ name: inFile });
      const status = await loading;
      return status.state === 'ready' ? status.model.name : null;
    };
    expect(await named('Given', 'In File')).toBe('Given');
    expect(await named(null, ' In File ')).toBe('In File');
    expect(await named(null, '  ')).toBe('fake.gguf');
  });

  it.each([
    ['an error of the engine', nativeError('model_invalid', 'fake.gguf is cut off.'), 'MODEL_INVALID'],
    ['a bug', new TypeError('x is undefined'), 'INTERNAL'],
  ])('fails with %s as the status', async (_name, error, code) => {
    const { addon, service } = served();
    const loading = service.assign(assigned({ chat: file }));
    addon.lastLoad.fail(error);
    expect(await loading).toMatchObject({ state: 'failed', modelPath: file.modelPath, error: { code } });
  });

  it('fails as a status if the addon refuses the arguments', async () => {
    const { addon, service } = served();
    addon.loadModel = () => {
      throw new TypeError('nThreads must be an integer');
    };
    expect(await service.assign(assigned({ chat: file }))).toMatchObject({
      state: 'failed',
      error: { code: 'INTERNAL' },
    });
  });

  it('fails if the template is broken, or there is no memory for the KV cache', async () => {
    const { addon, service } = served();
    const broken = service.assign(assigned({ chat: file }));
    addon.lastLoad.succeed({ chatTemplate: '{% if %}' });
    expect(await broken).toMatchObject({ state: 'failed', error: { code: 'TEMPLATE_FAILED' } });
    const large = service.assign(assigned({ chat: file }));
    addon.lastLoad.succeed({}, nativeError('out_of_memory'));
    expect(await large).toMatchObject({ state: 'failed', error: { code: 'OUT_OF_MEMORY', hint: expect.any(String) } });
  });

  it('cancels a load for a newer one, which decides alone', async () => {
    const { addon, service } = served();
    const old = service.assign(assigned({ chat: other('old') }));
    const oldLoad = addon.lastLoad;
    const young = service.assign(assigned({ chat: other('young') }));
    expect(oldLoad.isCancelled).toBe(true);
    oldLoad.options.onProgress?.(0.9);
    expect(await old).toEqual({ state: 'loading', modelPath: '/young.gguf', progress: 0 });
    addon.lastLoad.succeed();
    expect(await young).toMatchObject({ state: 'ready', model: { path: '/young.gguf' } });
  });

  it('ignores an old load that was done before it could be cancelled', async () => {
    const { addon, service } = served();
    const old = service.assign(assigned({ chat: other('old') }));
    addon.lastLoad.succeed();
    const young = service.assign(assigned({ chat: other('young') }));
    expect(await old).toMatchObject({ state: 'loading', modelPath: '/young.gguf' });
    addon.lastLoad.fail(nativeError('file_not_found'));
    expect(await young).toMatchObject({ state: 'failed', modelPath: '/young.gguf' });
  });

  it('takes new settings of the same model at once, and ends what it was doing', async () => {
    const { addon, client, engine, service } = await ready();
    const reply = collect(await client.chat(chatRequest()));
    await engine.submitted();
    const loading = service.assign(assigned({ chat: { ...file, nCtx: 512 } }));
    expect(engine.isDisposed).toBe(true);
    expect(await reply).toMatchObject([{ type: 'done', reason: 'cancelled' }]);
    addon.lastLoad.succeed();
    expect(await loading).toMatchObject({ state: 'ready' });
  });

  it('leaves alone what is loaded as it should be', async () => {
    const { addon, engine, service } = await ready();
    await service.assign(assigned({ chat: file }));
    expect([addon.loads.length, engine.isDisposed]).toEqual([1, false]);
  });

  it('takes the context that was asked for, at most what the model knows', async () => {
    const contextOf = async (nCtx: number, info: Partial<NativeModelInfo>) =>
      (await ready(info, nCtx)).addon.engineOptions;
    expect(await contextOf(1000, {})).toEqual({ nCtx: 1000, kvBytes: 2 * 1000 * 64, kv: 'exact' });
    expect(await contextOf(1_000_000, {})).toMatchObject({ nCtx: 2048 });
    expect(await contextOf(0, { kvBytesPerToken: 1e15 })).toMatchObject({ nCtx: 512 });
    expect(await contextOf(0, { kvBytesPerToken: 1e15, nCtxTrain: 256 })).toMatchObject({ nCtx: 256 });
  });
});

describe('several models', () => {
  it('change roles while a reply goes on, which ends on its own model', async () => {
    const { addon, client, engine, service } = await ready();
    const reply = collect(await client.chat(chatRequest()));
    const running = await engine.submitted();
    const switching = service.assign(assigned({ chat: other('next') }));
    const next = addon.lastLoad.succeed();
    expect(await switching).toMatchObject({ state: 'ready', model: { path: '/next.gguf' } });
    expect(engine.isDisposed).toBe(false);
    running.sink.onText?.('to the end', 3);
    running.done('end_of_text');
    expect((await reply).map(({ type }) => type)).toEqual(['text', 'done']);
    expect(engine.isDisposed).toBe(true);
    expect(addon.loads[0]?.isDisposed).toBe(true);
    const second = collect(await client.chat(chatRequest()));
    (await next.submitted()).done('length');
    await second;
  });

  it('answer by role; without a model of its own a completion takes that of the chat', async () => {
    const { addon, client, engine, service } = await ready();
    const assigning = service.assign(assigned({ chat: file, inline: other('coder') }));
    const early = client.complete(completeRequest());
    (await engine.submitted()).done('length');
    await early;
    const coder = addon.lastLoad.succeed();
    await assigning;
    await vi.waitUntil(() => addon.loads.length === 2);
    const late = client.complete(completeRequest());
    (await coder.submitted()).done('length');
    await late;
    expect(engine.requests).toHaveLength(1);
  });

  /** A service that has `room` bytes, and models of 4 GB. */
  async function crowded(room: number) {
    const addon = new FakeAddon();
    let free = room;
    const size = 4e9;
    const service = new EngineService(addon, () => free);
    const { client } = connect(engineContract, service.router());
    const spec = (name: string): ModelSpec => ({ ...other(name), memoryBytes: size });
    const events: EngineEvent[] = [];
    const stream = await client.events();
    void (async () => {
      for await (const event of stream) events.push(event);
    })().catch(() => {});
    const load = async (roles: Partial<Assignment['roles']>) => {
      const n = addon.loads.length;
      const assigning = service.assign(assigned(roles));
      await vi.waitUntil(() => addon.loads.length > n);
      free -= size;
      const load = addon.lastLoad;
      const engine = load.succeed();
      const { dispose } = engine;
      engine.dispose = () => {
        free += size;
        dispose.call(engine);
      };
      await assigning;
      return engine;
    };
    const notices = () => events.filter(({ type }) => type === 'notice');
    return { addon, service, client, spec, load, notices };
  }

  it('make room: the one that was used longest ago goes, and comes back when it is asked', async () => {
    const { addon, client, spec, load, notices } = await crowded(5e9);
    const chat = await load({ chat: spec('chat') });
    await load({ chat: spec('chat'), inline: spec('coder') });
    expect(chat.isDisposed).toBe(true);
    await vi.waitUntil(() => notices().length === 1);
    expect(notices()).toMatchObject([{ message: 'Fake was unloaded to make room for coder.gguf.' }]);
    const reply = client.chat(chatRequest());
    await vi.waitUntil(() => addon.loads.length === 3);
    const again = addon.lastLoad.succeed();
    const events = collect(await reply);
    (await again.submitted()).done('length');
    expect((await events).at(-1)).toMatchObject({ type: 'done' });
  });

  it('wait for one that answers, and never end it', async () => {
    const { addon, client, service, spec, load } = await crowded(5e9);
    const chat = await load({ chat: spec('chat') });
    const reply = collect(await client.chat(chatRequest()));
    const running = await chat.submitted();
    const switching = service.assign(assigned({ chat: spec('next') }));
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect([addon.loads.length, chat.isDisposed]).toEqual([1, false]);
    running.done('end_of_text');
    await reply;
    await vi.waitUntil(() => addon.loads.length === 2);
    addon.lastLoad.succeed();
    expect(await switching).toMatchObject({ state: 'ready' });
  });

  it('say what was needed and what is free if one does not fit at all', async () => {
    const { service, spec } = await crowded(1e9);
    expect(await service.assign(assigned({ chat: spec('huge') }))).toMatchObject({
      state: 'failed',
      error: {
        code: 'OUT_OF_MEMORY',
        message: 'huge.gguf needs 3.73 GiB of memory; the system can give 0.81 GiB.',
        hint: expect.stringContaining('shorter context'),
      },
    });
  });

  it('stay within the limit of the settings', async () => {
    const { service, spec } = await crowded(1e12);
    const status = await service.assign({ ...assigned({ chat: spec('huge') }), limitBytes: 1e9 });
    expect(status).toMatchObject({ state: 'failed', error: { message: expect.stringContaining('memory limit') } });
  });

  it('are unloaded on demand and when nobody asks, unless they are pinned or answer', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'Date'] });
    onTestFinished(() => void vi.useRealTimers());
    const { addon, client, service } = served();
    const assigning = service.assign({ ...assigned({ chat: file }), idleMs: 60_000 });
    const engine = addon.lastLoad.succeed();
    await assigning;
    const reply = collect(await client.chat(chatRequest()));
    const running = await engine.submitted();
    await expect(client.unload({ id: file.id })).rejects.toMatchObject({ code: 'ENGINE_NOT_READY' });
    vi.advanceTimersByTime(120_000);
    expect(engine.isDisposed).toBe(false);
    running.done('length');
    await reply;
    await client.pin({ id: file.id, isPinned: true });
    vi.advanceTimersByTime(120_000);
    expect(engine.isDisposed).toBe(false);
    await client.pin({ id: file.id, isPinned: false });
    vi.advanceTimersByTime(2000);
    expect(engine.isDisposed).toBe(true);
    // Whoever asks does not notice but by the time it takes.
    const asked = client.countTokens({ messages: chatRequest().messages });
    await vi.waitUntil(() => addon.loads.length === 2);
    addon.lastLoad.succeed();
    expect(await asked).toMatchObject({ nCtx: 2048 });
  });
});

describe('without a model', () => {
  it('refuses every request with what to do', async () => {
    const { addon, client, control } = served();
    const refused = async (message: string) => {
      const calls = [
        client.chat(chatRequest()),
        client.complete(completeRequest()),
        client.countTokens({ messages: chatRequest().messages }),
      ];
      const isRefused = { code: 'ENGINE_NOT_READY', message, data: { hint: expect.any(String) } };
      for (const { reason, status } of (await Promise.allSettled(calls)) as PromiseRejectedResult[]) {
        expect(status).toBe('rejected');
        expect(reason).toMatchObject(isRefused);
      }
    };
    await refused('No model is loaded.');
    const loading = control.assign(assigned({ chat: file }));
    await vi.waitUntil(() => addon.loads.length > 0);
    await refused('The model is still loading.');
    addon.lastLoad.fail(nativeError('file_not_found'));
    await loading;
    await refused('The model could not be loaded.');
  });
});

describe('a chat reply', () => {
  it('asks with the rendered conversation and the settings, and streams the answer', async () => {
    const { client, engine } = await ready();
    const reply = collect(await client.chat(chatRequest('Hi</s>')));
    const { request, sink, done } = await engine.submitted();
    const { maxTokens, ...rest } = sampler;
    expect(request).toMatchObject({ ...rest, nPredict: maxTokens, seed: 7, priority: 'chat' });
    expect(request.stop).toContain('<|user|>');
    expect(fakeTokenizer().show(request.tokens)).toBe('[[BOS]]<|user|>\nHi</s>[[</s>]]\n<|assistant|>\n');
    sink.onPrefill?.(5, 5);
    sink.onText?.('Hel', 1);
    sink.onText?.('lo 😀', 3);
    done('end_of_text');
    const events = await reply;
    expect(events.map(({ type }) => type)).toEqual(['prefill', 'text', 'text', 'done']);
    expect(events.map((event) => (event.type === 'text' ? event.text : '')).join('')).toBe('Hello 😀');
    expect(events.at(-1)).toEqual({ type: 'done', reason: 'end_of_text', stats });
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
    expect(await call).toEqual({ text: ' 1;', reason: 'stop_string', usedSuffix: false, stats });
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
    expect(request).toMatchObject({ nPredict: 1, beginWith: '', priority: 'background' });
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
