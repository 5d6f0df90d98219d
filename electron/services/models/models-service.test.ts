// Models as main serves them: what a model has of its own, what is to be loaded for it, and what comes back.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { predictSharedMemory } from '../../common/device-fit.ts';
import { type KvCheck, kvPresetsRevision } from '../../common/kv-check.ts';
import type { ModelFacts } from '../../common/model-facts.ts';
import type { Device } from '../../common/role-contract.ts';
import { type Settings, settingsSchema } from '../../common/settings.ts';
import { temporaryFolder } from '../../testing/temporary-folder.ts';
import { HubToken } from './hub-token.ts';
import { ModelsService, type ModelsServiceOptions } from './models-service.ts';
import { aGpu } from './testing/a-gpu.ts';
import { nodeHttp } from './testing/node-http.ts';
import { tinyModelBytes } from './testing/tiny-gguf.mjs';

const unused = () => Promise.reject(new Error('Not in this test.'));

async function setUp(
  measureSpeeds: ModelsServiceOptions['measureSpeeds'] = unused,
  settings: Partial<Settings> = {},
  gpus: Device[] = [],
  {
    checkKv = unused,
    pause = unused,
    isOnBattery = () => false,
    root = () => null,
  }: Partial<Pick<ModelsServiceOptions, 'checkKv' | 'pause' | 'isOnBattery' | 'root'>> = {},
) {
  const folder = await temporaryFolder();
  const path = join(folder, 'own.gguf');
  await writeFile(path, tinyModelBytes({ nLayer: 3, nEmbd: 64, nCtxTrain: 256 }));
  vi.stubEnv('OUTPOST_DEFAULT_MODEL', path);
  const dataFolder = join(folder, 'data');
  await mkdir(dataFolder);
  const onAssignment = vi.fn();
  const keychain = {
    isEncryptionAvailable: () => false,
    encryptString: () => Buffer.alloc(0),
    decryptString: () => '',
  };
  const service = new ModelsService({
    dataFolder,
    settings: () => settingsSchema.parse(settings),
    root,
    token: new HubToken(join(dataFolder, 'hub-token'), keychain),
    http: () => nodeHttp,
    onNotice: () => {},
    onAssignment,
    selfTest: unused,
    benchmark: unused,
    checkKv,
    pause,
    isOnBattery,
    measureSpeeds,
    gpus: async () => gpus,
    forget: async () => {},
  });
  onTestFinished(() => service.close());
  await service.start();
  const { models } = await service.state();
  const id = models.find(({ origin }) => origin === 'default')?.id ?? '';
  onAssignment.mockClear();
  const modelOf = async () => (await service.state()).models.find((model) => model.id === id);
  return { service, id, modelOf, onAssignment, spec: () => service.assignment().roles.chat };
}

it('loads a model that is chosen even if its load was stopped', async () => {
  const { service, id, onAssignment } = await setUp();
  await service.chooseChat(id);
  expect(onAssignment).toHaveBeenLastCalledWith(true);
  onAssignment.mockClear();
  await service.setRole('inline', id, true);
  expect(onAssignment).toHaveBeenLastCalledWith(true);
});

it('gives the engine the choices of the folder that is opened', async () => {
  let root: string | null = '/a';
  const { service, id, onAssignment } = await setUp(unused, {}, [], { root: () => root });
  await service.setRole('inline', id, /*isEverywhere=*/ false);
  expect(service.assignment().roles.inline).toMatchObject({ id });
  onAssignment.mockClear();
  root = '/b';
  service.rootChanged();
  expect(onAssignment).toHaveBeenCalledExactlyOnceWith(false);
  expect(service.assignment().roles.inline).not.toMatchObject({ id });
});

describe('what a model has of its own', () => {
  it('is loaded with it, and is taken back', async () => {
    const { service, id, modelOf, onAssignment, spec } = await setUp();
    expect(spec()).toMatchObject({ chatTemplate: null, nCtx: 0 });

    service.update(id, { overrides: { sampler: { temperature: 0.3, maxTokens: 5 } }, notes: 'For commits.' });
    expect((await modelOf())?.overrides).toEqual({ sampler: { temperature: 0.3, maxTokens: 5 } });
    expect((await modelOf())?.notes).toBe('For commits.');
    expect(onAssignment).not.toHaveBeenCalled(); // the next reply is written otherwise; nothing is loaded again

    service.update(id, { overrides: { sampler: {}, chatTemplate: '{{ messages }}', nCtx: 128 } });
    expect(onAssignment).toHaveBeenCalledOnce();
    expect(spec()).toMatchObject({ chatTemplate: '{{ messages }}', nCtx: 128 });

    service.update(id, { overrides: { sampler: {} } });
    expect(onAssignment).toHaveBeenCalledTimes(2);
    expect(onAssignment).toHaveBeenLastCalledWith(false);
    expect(spec()).toMatchObject({ chatTemplate: null, nCtx: 0 });
    expect(await modelOf()).toMatchObject({ overrides: { sampler: {} }, notes: 'For commits.' });
    expect(() => service.update('file:/none', { notes: '' })).toThrow('not in the library');
  });

  it.each(['cuda:0', 'metal:0'])(
    'keeps its context in 16 bits on a GPU, whatever is chosen for the processor: %s',
    async (device) => {
      const { service, id, spec } = await setUp(unused, { kvPreset: 'compact' });
      expect(spec()).toMatchObject({ device: 'cpu', kvPreset: 'compact' });
      service.update(id, { overrides: { sampler: {}, device } });
      expect(spec()).toMatchObject({ device, kvPreset: 'exact' });
    },
  );
});

describe('a model that a GPU shares', () => {
  const shared = (facts: ModelFacts, of: Device, nLayers: number) => {
    const plan = { nLayers: [nLayers], hasSlots: false };
    return predictSharedMemory(facts, { nCtx: 256, kvBits: 16, draftBytes: 0 }, [of], plan);
  };

  it('is loaded with as many layers there as fit, or with those that it is to have', async () => {
    const { service, id, onAssignment, spec, modelOf } = await setUp(unused, {}, [aGpu]);
    await service.machine.lookAtGpus();
    expect(spec()).toMatchObject({ device: 'cpu', deviceLayers: 0, nCtx: 0 });
    service.update(id, { overrides: { sampler: {}, device: 'cuda:0' } });
    expect(spec()).toMatchObject({ device: 'cuda:0', deviceLayers: 0, nCtx: 256 });
    onAssignment.mockClear();
    service.update(id, { overrides: { sampler: {}, device: 'cuda:0', deviceLayers: 2 } });
    expect(onAssignment).toHaveBeenCalledOnce();
    expect(spec()).toMatchObject({ device: 'cuda:0', deviceLayers: 2 });

    const facts = (await modelOf())?.facts;
    if (!facts) throw new Error('The model has no facts.');
    const wayOf = (n: number) => {
      const { ram, gpus } = shared(facts, aGpu, n);
      return { cpu: ram.total, 'cuda:0': gpus[0]?.total };
    };
    expect(spec()?.memory).toEqual([wayOf(2)]);
    service.update(id, { overrides: { sampler: {}, device: 'cuda:0' } });
    expect(spec()?.memory).toEqual([3, 2, 1].map(wayOf));
  });

  it('needs all of its memory in one place where the GPU shares the main memory', async () => {
    const { service, id, spec, modelOf } = await setUp(unused, {}, [{ ...aGpu, sharesMemory: true }]);
    await service.machine.lookAtGpus();
    service.update(id, { overrides: { sampler: {}, device: 'cuda:0', deviceLayers: 2 } });
    const facts = (await modelOf())?.facts;
    if (!facts) throw new Error('The model has no facts.');
    const { ram, gpus } = shared(facts, aGpu, 2);
    expect(spec()?.memory[0]?.cpu).toBeCloseTo(ram.total + (gpus[0]?.total ?? 0));
  });

  it('may be shared by several GPUs, each of which has a part of it', async () => {
    const other: Device = { ...aGpu, id: 'cuda:1' };
    const { service, id, spec } = await setUp(unused, {}, [aGpu, other]);
    service.update(id, { overrides: { sampler: {}, device: 'cuda:0,cuda:1', deviceLayers: 2 } });
    expect(spec()?.memory).toEqual([]); // nobody has seen them yet
    const look = vi.spyOn(service.machine, 'lookAtGpus');
    for (let i = 0; i < 2; ++i) await service.assignmentNow();
    expect(look).toHaveBeenCalledOnce();
    expect(spec()).toMatchObject({ device: 'cuda:0,cuda:1', deviceLayers: 0, kvPreset: 'exact' });
    const [way, ...others] = spec()?.memory ?? [];
    expect([Object.keys(way ?? {}).sort(), others]).toEqual([['cpu', 'cuda:0', 'cuda:1'], []]);
    expect(Math.min(...Object.values(way ?? {}))).toBeGreaterThan(0);
  });

  it('goes back to the processor with all others, when the user gives the GPU up', async () => {
    const { service, id, spec, onAssignment, modelOf } = await setUp(unused, {}, [aGpu]);
    service.update(id, { overrides: { sampler: { temperature: 0.3 }, device: 'cuda:0', deviceLayers: 2 } });
    onAssignment.mockClear();
    service.leaveGpus();
    expect(spec()).toMatchObject({ device: 'cpu' });
    expect((await modelOf())?.overrides).toEqual({ sampler: { temperature: 0.3 } });
    expect(onAssignment).toHaveBeenCalledOnce();
    service.leaveGpus();
    expect(onAssignment).toHaveBeenCalledOnce();
  });

  it('needs as much beside the processor as before, while it fills the GPU itself', async () => {
    const gpus = [aGpu];
    const { service, id, spec, modelOf } = await setUp(unused, {}, gpus);
    const facts = (await modelOf())?.facts;
    if (!facts) throw new Error('The model has no facts.');
    const room = shared(facts, aGpu, 2).gpus[0]?.total ?? 0;
    gpus[0] = { ...aGpu, freeBytes: room };
    await service.machine.lookAtGpus();
    service.update(id, { overrides: { sampler: {}, device: 'cuda:0' } });
    const before = spec()?.memory;
    expect(before?.[0]).toMatchObject({ cpu: shared(facts, aGpu, 2).ram.total, 'cuda:0': room });
    gpus[0] = { ...aGpu, freeBytes: 1e6 };
    await service.machine.lookAtGpus();
    expect(spec()?.memory).toEqual(before);
    expect((await service.state()).memory.gpus).toEqual(gpus);
  });

  it('is given to the engine when its GPU is known, so that it is loaded once', async () => {
    const { service, id } = await setUp(unused, { nCtx: 0 }, [{ ...aGpu, totalBytes: 8e6 }]);
    service.update(id, { overrides: { sampler: {}, device: 'cuda:0' } });
    const first = (await service.assignmentNow()).roles.chat;
    expect(first?.memory[0]?.cpu).toBeGreaterThan(0);
    await service.machine.lookAtGpus();
    expect((await service.assignmentNow()).roles.chat).toEqual(first);
  });

  it('needs nobody knows how much while the GPU is not known', async () => {
    const { service, id, spec } = await setUp();
    service.update(id, { overrides: { sampler: {}, device: 'cuda:0', deviceLayers: 2 } });
    expect(spec()?.memory).toEqual([]);
  });

  it('has its speed there measured for itself, once', async () => {
    const measured: unknown[] = [];
    const speeds: ModelsServiceOptions['measureSpeeds'] = async (types, device) => {
      measured.push([types, device]);
      const weights = Object.fromEntries(types.map((type) => [type, 4e11]));
      return { weights, layer: { secondsPerLayer: 1e-6, kvBytesPerSecond: 2e12 } };
    };
    const { service } = await setUp(speeds, {}, [aGpu]);
    await service.machine.measureSpeeds(['f32'], 'cuda:0'); // nobody has seen it yet
    await service.machine.lookAtGpus();
    await service.machine.measureSpeeds(['f32'], 'cuda:0');
    await service.machine.measureSpeeds(['f32'], 'cuda:0');
    await service.machine.measureSpeeds(['f32'], 'cuda:1');
    expect(measured).toEqual([[['f32'], 'cuda:0']]);
    const { speed } = await service.state();
    expect(speed.layer).toBeNull();
    expect(speed.gpus['cuda:0 A GPU']).toMatchObject({ bytesPerSecond: { f32: 4e11 }, other: 4e11 });
  });
});

describe('a pause of the engine', () => {
  const inPause = async (settings: Partial<Settings>, isOnBattery = false) => {
    const kvCheck: KvCheck = {
      revision: kvPresetsRevision,
      atMs: 1,
      chosen: 'compact',
      nTokens: 500,
      results: [],
      problem: null,
    };
    const asked: [string, boolean][] = [];
    const checkKv: ModelsServiceOptions['checkKv'] = async ({ id }, givesWay) => {
      asked.push([id, givesWay]);
      return kvCheck;
    };
    const all = await setUp(unused, settings, [], { checkKv, pause: async () => {}, isOnBattery: () => isOnBattery });
    await vi.waitFor(async () => expect((await all.modelOf())?.job).toBeNull());
    return { ...all, asked };
  };

  it('is when what came with Outpost is checked, which then is loaded with fewer bits', async () => {
    const { asked, id, spec } = await inPause({});
    await vi.waitFor(() => expect(spec()).toMatchObject({ kvPreset: 'compact' }));
    expect(asked[0]).toEqual([id, true]);
  });

  it('checks nothing when the user chose the bits, or on a battery', async () => {
    for (const { asked, modelOf } of [await inPause({ kvPreset: 'safe' }), await inPause({}, true)]) {
      expect(asked).toEqual([]);
      expect((await modelOf())?.kvCheck).toBeNull();
    }
  });
});

describe('what comes back from the engine', () => {
  it('is how fast the machine is, measured once for each type', async () => {
    const measured: string[][] = [];
    const { service, modelOf, id } = await setUp(async (types) => {
      measured.push(types);
      const weights = Object.fromEntries(types.map((type) => [type, 4e9]));
      return { weights, layer: { secondsPerLayer: 1e-5, kvBytesPerSecond: 2e9 } };
    });
    await service.machine.measureSpeeds(['f32', 'q8_0']);
    await service.machine.measureSpeeds(['f32']);
    await service.machine.measureSpeeds(['q8_0', 'q4_0']);
    expect(measured).toEqual([['f32', 'q8_0'], ['q4_0']]);
    expect((await service.state()).speed).toMatchObject({ bytesPerSecond: { q8_0: 4e9 } });
    service.machine.measured(id, 50, 100);
    const first = (await modelOf())?.speed;
    service.machine.measured(id, 60, 100);
    expect((await modelOf())?.speed).toEqual({ expected: first?.expected, measured: 60 });
  });
});
