import { describe, expect, it, onTestFinished, vi } from 'vitest';
import type { CompletionModel, EngineStatus } from '../common/engine-contract.ts';
import type { EngineEvent } from '../common/role-contract.ts';
import type { NativeModelInfo } from './native.d.ts';
import { nativeError } from './testing/fake-addon.ts';
import { assigned, chatRequest, collect, completeRequest, file, other, ready, served } from './testing/served.ts';

describe('what main asks of the machine', () => {
  it('is the speed of weights by type, without those that have no kernel, and only of an idle engine', async () => {
    const { client, control, engine } = await ready();
    expect(await control.measureSpeeds({ types: ['q4_K', 'i64', 'q8_0'], device: 'cpu', nThreads: 2 })).toEqual({
      weights: { q4_K: 1e9, q8_0: 1e9 },
      layer: { secondsPerLayer: 1e-5, kvBytesPerSecond: 2e9 },
    });
    const events = collect(await client.chat(chatRequest()));
    const chat = await engine.submitted(0);
    await expect(control.measureSpeeds({ types: ['q4_K'], device: 'cpu', nThreads: 2 })).rejects.toThrow('computing');
    chat.done('end_of_text');
    await events;
  });

  it('is the GPUs, of which one computes a model that is set to it', async () => {
    const { addon, service, client, control } = served();
    const sensors = {
      temperatureC: 71,
      slowdownC: 90,
      powerWatts: 212.5,
      powerLimitWatts: 350,
      clockMhz: 1755,
      memoryClockMhz: null,
      busy: 0.83,
      usedBytes: 1e9,
    };
    const gpu = { id: 'cuda:0', name: 'A GPU', totalBytes: 8e9, freeBytes: 7e9, sharesMemory: false, sensors };
    addon.devices = [...addon.devices, gpu];
    expect(await control.gpus()).toEqual([gpu]);
    const onGpu = { ...file, device: 'cuda:0', deviceLayers: 2, nCtx: 512, kvPreset: 'safe' as const };
    const loading = service.assign(assigned({ chat: onGpu }));
    expect(addon.lastLoad.options).toMatchObject({
      device: 'cuda:0',
      nDeviceLayers: 2,
      nDevicePositions: 1024,
      deviceKv: 'safe',
    });
    const shares = [
      { device: 'cpu', firstLayer: 0, nLayer: 6, weightBytes: 700 },
      { device: 'cuda:0', firstLayer: 6, nLayer: 2, weightBytes: 300 },
    ];
    addon.lastLoad.succeed({ shares }).kvBytesTotal = 800;
    await loading;
    // Another number of layers is another model to load, and the window hears who has what.
    const events = await client.events();
    const { value: shown } = (await events.next()) as { value: EngineEvent };
    expect(shown).toMatchObject({
      models: [
        {
          shares: [
            { device: 'cpu', nLayer: 6, weights: 700, kv: 600 },
            { device: 'cuda:0', nLayer: 2, weights: 300, kv: 200 },
          ],
        },
      ],
    });
    await events.return?.();
    const again = service.assign(assigned({ chat: { ...onGpu, deviceLayers: 0 } }));
    expect(addon.loads).toHaveLength(2);
    addon.lastLoad.succeed();
    await again;
  });
});

it('counts the keys and values of a head for further tokens where those of the model are', async () => {
  const { addon, service, client } = served();
  const loading = service.assign(assigned({ chat: file }));
  const shares = [{ device: 'cpu', firstLayer: 0, nLayer: 8, weightBytes: 700 }];
  const engine = addon.lastLoad.succeed({ shares });
  engine.kvBytesTotal = 800;
  engine.headKvBytes = 64;
  await loading;
  const events = await client.events();
  const { value: shown } = (await events.next()) as { value: EngineEvent };
  expect(shown).toMatchObject({ models: [{ memory: { kv: 864 }, shares: [{ kv: 864 }] }] });
  await events.return?.();
});

describe('the role for search by meaning', () => {
  it('loads its model with the first text, which is cut to what fits, and unloads it with the role', async () => {
    const { addon, service, client } = served();
    await expect(client.embed({ texts: ['a'] })).rejects.toThrow('No model has the role');
    const embedding = { ...other('embedding'), nCtx: 8 };
    const loading = service.assign(assigned({ chat: file, embedding }));
    addon.lastLoad.succeed();
    await loading;
    expect(addon.loads).toHaveLength(1);
    const embedded = client.embed({ texts: ['abc', 'a text that is longer than its context'] });
    await expect.poll(() => addon.loads.length).toBe(2);
    addon.lastLoad.succeed();
    // The fake model points by the number of tokens, of which one begins the text.
    expect(await embedded).toEqual({
      modelId: embedding.id,
      vectors: [
        [4, 0],
        [8, 0],
      ],
    });
    await service.assign(assigned({ chat: file }));
    expect(addon.lastLoad.isDisposed).toBe(true);
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
    const checking = control.checkKv({ spec: file, givesWay: false });
    await vi.waitFor(() => expect(addon.loads).toHaveLength(1));
    const engine = addon.loads[0]?.succeed();
    (await engine?.submitted())?.done('length');
    expect(await checking).toMatchObject({ chosen: 'exact', problem: 'What it computes are no numbers.' });
    expect(engine?.isDisposed).toBe(true);
  });

  it('gives a check up that is to give way, when somebody asks for something', async () => {
    const { addon, control, client, service } = served();
    const assigning = service.assign(assigned({ chat: file }));
    const engine = addon.lastLoad.succeed();
    await assigning;
    const checking = control.checkKv({ spec: file, givesWay: true });
    await engine.submitted(); // it measures how fast the model reads
    await client.countTokens({ messages: chatRequest().messages });
    expect(await checking).toBeNull();
    expect(engine.isDisposed).toBe(false);
  });

  it('has a pause when nobody has asked for anything in a minute', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] });
    onTestFinished(() => void vi.useRealTimers());
    const { addon, control, client, service } = served();
    const assigning = service.assign(assigned({ chat: file }));
    const engine = addon.lastLoad.succeed();
    await assigning;
    let isPause = false;
    const pause = control.pause().then(() => {
      isPause = true;
    });
    await vi.advanceTimersByTimeAsync(40_000);
    const reply = collect(await client.chat(chatRequest()));
    const running = await engine.submitted();
    await vi.advanceTimersByTimeAsync(70_000);
    expect(isPause).toBe(false); // it still answers
    running.done('length');
    await reply;
    await vi.advanceTimersByTimeAsync(59_000);
    expect(isPause).toBe(false);
    await vi.advanceTimersByTimeAsync(2000);
    await pause;
  });

  it('tells the status from idle over progress to ready', async () => {
    const { addon, client, control } = served();
    const status = await client.status();
    const next = async () => (await status.next()).value as EngineStatus;
    expect(await next()).toEqual({ state: 'idle' });
    const loading = control.assign(assigned({ chat: file }));
    expect(await next()).toEqual({ state: 'loading', id: file.id, modelPath: file.modelPath, progress: 0 });
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

  it("tells which model completes: that of the role, or the chat's while there is none", async () => {
    const { addon, client, service } = served();
    const models = await client.completionModel();
    const next = async () => (await models.next()).value as { model: CompletionModel };
    expect(await next()).toEqual({ model: null });
    const inline = other('inline');
    const loading = service.assign(assigned({ chat: file, inline }));
    const [chatLoad] = addon.loads;
    chatLoad?.succeed();
    await loading;
    expect(await next()).toEqual({ model: { id: file.id, hasFim: false } });
    addon.lastLoad.succeed({ hasFim: true });
    expect(await next()).toEqual({ model: { id: inline.id, hasFim: true } });
    // Unloaded, it comes back with the next request, and is what completes.
    await client.unload({ id: inline.id });
    await service.assign(assigned({ chat: file }));
    expect(await next()).toEqual({ model: { id: file.id, hasFim: false } });
    await models.return?.();
    const late = await client.completionModel();
    expect((await late.next()).value).toEqual({ model: { id: file.id, hasFim: false } });
    await late.return?.();
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
    expect(addon.lastLoad.isDisposed).toBe(true);
    const large = service.assign(assigned({ chat: file }));
    addon.lastLoad.succeed({}, nativeError('out_of_memory'));
    expect(await large).toMatchObject({ state: 'failed', error: { code: 'OUT_OF_MEMORY', hint: expect.any(String) } });
    expect(addon.lastLoad.isDisposed).toBe(true);
  });

  it('fails for a GPU that cannot be used with the reason, and what to do', async () => {
    const { addon, control, service } = served();
    const onGpu = { ...file, device: 'cuda:0,cuda:1', nCtx: 512 };
    const reason = 'The device cuda:1 cannot be used: cuda:1 (A GPU) refuses this program: out of memory.';
    const gpu = { id: 'cuda:0', name: 'A GPU', totalBytes: 8e9, freeBytes: 6e9, sharesMemory: false, sensors: null };
    addon.devices = [...addon.devices, gpu, { ...gpu, id: 'cuda:1', freeBytes: 0, unusable: 'refused' }];
    expect(await control.gpus()).toEqual([gpu, { ...gpu, id: 'cuda:1', freeBytes: 0, reason: 'refused' }]);
    const loading = service.assign(assigned({ chat: onGpu }));
    expect(addon.lastLoad.options.device).toEqual(['cuda:0', 'cuda:1']);
    addon.lastLoad.fail(nativeError('invalid_argument', reason));
    expect(await loading).toMatchObject({
      state: 'failed',
      error: { code: 'DEVICE_UNAVAILABLE', message: reason, hint: expect.stringContaining('the processor') },
    });
    const full = service.assign(assigned({ chat: { ...onGpu, device: 'cuda:0' } }));
    addon.lastLoad.fail(nativeError('out_of_memory', '9 layers take 9000 MiB on cuda:0. 6000 MiB are free.'));
    expect(await full).toMatchObject({
      error: { code: 'OUT_OF_MEMORY', message: expect.any(String), hint: expect.stringContaining('fewer layers') },
    });
    // Another argument that is refused is our fault.
    const refused = service.assign(assigned({ chat: { ...onGpu, device: 'cuda:0' } }));
    addon.lastLoad.fail(nativeError('invalid_argument', 'n_device_layers is 0.'));
    expect(await refused).toMatchObject({ state: 'failed', error: { code: 'INTERNAL' } });
  });

  it('cancels a load for a newer one, which decides alone', async () => {
    const { addon, service } = served();
    const old = service.assign(assigned({ chat: other('old') }));
    const oldLoad = addon.lastLoad;
    const young = service.assign(assigned({ chat: other('young') }));
    expect(oldLoad.isCancelled).toBe(true);
    oldLoad.options.onProgress?.(0.9);
    expect(await old).toEqual({ state: 'loading', id: 'file:/young.gguf', modelPath: '/young.gguf', progress: 0 });
    addon.lastLoad.succeed();
    expect(await young).toMatchObject({ state: 'ready', model: { path: '/young.gguf' } });
  });

  it('is given up on demand, and loads again before it has come to its end', async () => {
    const { addon, client, service } = served();
    const { loadModel } = addon;
    addon.loadModel = (...args) => ({ ...loadModel.apply(addon, args), cancel: () => {} }); // it takes its time
    const loading = service.assign(assigned({ chat: file }));
    const first = addon.lastLoad;
    await client.unload({ id: file.id });
    const again = service.assign({ ...assigned({ chat: file }), again: true });
    await vi.waitUntil(() => addon.loads.length === 2);
    first.fail(nativeError('cancelled'));
    await loading;
    const once = service.assign(assigned({ chat: file }));
    expect(addon.loads).toHaveLength(2);
    addon.lastLoad.succeed();
    await once;
    expect(await again).toMatchObject({ state: 'ready' });
  });

  it('is stopped when it was given up, which is no failure, and ends questions that wait for it', async () => {
    const { addon, client, service } = served();
    const loading = service.assign(assigned({ chat: file }));
    const waiting = collect(await client.chat(chatRequest()));
    await client.unload({ id: file.id });
    expect(addon.lastLoad.isCancelled).toBe(true);
    await expect(waiting).rejects.toMatchObject({
      code: 'ENGINE_NOT_READY',
      message: 'Loading the model was stopped.',
      data: { hint: expect.any(String) },
    });
    expect(await loading).toEqual({ state: 'stopped', modelPath: file.modelPath });
    const events = await client.events();
    expect((await events.next()).value).toMatchObject({ models: [{ id: file.id, state: 'stopped', error: null }] });
    await events.return?.();
  });

  it('that was stopped begins again with a question, which waits, and with no suggestion', async () => {
    const { addon, client, service } = served();
    const loading = service.assign(assigned({ chat: file }));
    await client.unload({ id: file.id });
    await loading;
    await expect(client.complete(completeRequest())).rejects.toMatchObject({
      code: 'ENGINE_NOT_READY',
      message: 'Loading the model was stopped.',
    });
    expect(addon.loads).toHaveLength(1);
    const events = await client.chat(chatRequest());
    expect((await events.next()).value).toEqual({ type: 'loading', progress: 0 });
    expect(addon.loads).toHaveLength(2);
    const rest = collect(events);
    (await addon.lastLoad.succeed().submitted(0)).done('end_of_text');
    expect((await rest).at(-1)).toMatchObject({ type: 'done', reason: 'end_of_text' });
  });

  it('that was stopped is not begun again by what is said of other models, only by who wants it', async () => {
    const { addon, client, service } = served();
    const loading = service.assign(assigned({ chat: file }));
    await client.unload({ id: file.id });
    await loading;
    expect(await service.assign({ ...assigned({ chat: file }), idleMs: 7 })).toMatchObject({ state: 'stopped' });
    expect(addon.loads).toHaveLength(1);
    const again = service.assign({ ...assigned({ chat: file }), again: true });
    expect(addon.loads).toHaveLength(2);
    addon.lastLoad.succeed();
    expect(await again).toMatchObject({ state: 'ready' });
  });

  it('of a model that comes back for a request says to it that it was stopped', async () => {
    const { addon, client } = await ready();
    await client.unload({ id: file.id });
    const counting = client.countTokens({ messages: chatRequest().messages });
    await vi.waitUntil(() => addon.loads.length === 2);
    await client.unload({ id: file.id });
    await expect(counting).rejects.toMatchObject({ code: 'ENGINE_NOT_READY', message: 'Loading Fake was stopped.' });
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

describe('a question while its model is loading', () => {
  it('says how far it is, and is answered when the model is there', async () => {
    const { addon, client, control } = served();
    const loading = control.assign(assigned({ chat: file }));
    await vi.waitUntil(() => addon.loads.length > 0);
    const events = await client.chat(chatRequest());
    expect((await events.next()).value).toEqual({ type: 'loading', progress: 0 });
    addon.lastLoad.options.onProgress?.(0.5);
    expect((await events.next()).value).toEqual({ type: 'loading', progress: 0.5 });
    const rest = collect(events);
    const engine = addon.lastLoad.succeed();
    await loading;
    (await engine.submitted(0)).done('end_of_text');
    expect((await rest).at(-1)).toMatchObject({ type: 'done', reason: 'end_of_text' });
  });

  it('can be taken back, and nothing is asked then', async () => {
    const { addon, client, control } = served();
    const loading = control.assign(assigned({ chat: file }));
    await vi.waitUntil(() => addon.loads.length > 0);
    const asking = new AbortController();
    const events = await client.chat(chatRequest(), { signal: asking.signal });
    await events.next();
    const next = events.next();
    asking.abort();
    await expect(next).rejects.toThrow();
    await client.pin({ id: file.id, isPinned: false }); // comes after it
    const engine = addon.lastLoad.succeed();
    await loading;
    expect(engine.requests).toHaveLength(0);
  });

  it('fails with the model, and goes to another one that takes its place meanwhile', async () => {
    const { addon, client, control } = served();
    const first = control.assign(assigned({ chat: file }));
    await vi.waitUntil(() => addon.loads.length > 0);
    const events = collect(await client.chat(chatRequest()));
    const failed = expect(events).rejects.toMatchObject({ message: 'The model could not be loaded.' });
    addon.lastLoad.fail(nativeError('file_not_found'));
    await first;
    await failed;

    const second = control.assign(assigned({ chat: other('chat') }));
    await vi.waitUntil(() => addon.loads.length > 1);
    const answered = collect(await client.chat(chatRequest()));
    const third = control.assign(assigned({ chat: file }));
    await vi.waitUntil(() => addon.loads.length > 2);
    const engine = addon.lastLoad.succeed();
    await Promise.all([second, third]);
    (await engine.submitted(0)).done('end_of_text');
    expect((await answered).at(-1)).toMatchObject({ type: 'done' });
  });
});

describe('without a model', () => {
  it('refuses every request with what to do', async () => {
    const { addon, client, control } = served();
    const refused = async (message: string, isLoading = false) => {
      const calls = [
        ...(isLoading ? [] : [client.chat(chatRequest())]),
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
    await refused('The model is still loading.', true);
    addon.lastLoad.fail(nativeError('file_not_found'));
    await loading;
    await refused('The model could not be loaded.');
  });
});
