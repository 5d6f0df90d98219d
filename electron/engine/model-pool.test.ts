import { describe, expect, it, vi } from 'vitest';
import { gpuHeadroomBytes } from '../common/device-need.ts';
import { deviceSchema, type ModelSpec, pinnable } from '../common/role-contract.ts';
import { ModelPool } from './model-pool.ts';
import { PassCosts } from './pass-costs.ts';
import { FakeAddon, nativeError } from './testing/fake-addon.ts';
import { other } from './testing/served.ts';

const spec = (name: string): ModelSpec => ({ ...other(name), memory: [{ cpu: 4e9 }] });

it('a load waits for the memory of a model that answers, and not for one that waits for this load', async () => {
  const addon = new FakeAddon();
  let free = 14e9;
  const pool = new ModelPool({
    addon,
    costs: new PassCosts(),
    freeBytes: () => free,
    nowMs: () => 0,
    onChange: () => {},
    onLoadFailed: () => {},
    onNotice: () => {},
  });
  const load = async (name: string) => {
    const loading = pool.load(spec(name));
    await vi.waitUntil(() => addon.lastLoad?.path === `/${name}.gguf`);
    addon.lastLoad.succeed();
    await loading;
  };
  for (const name of ['answering', 'large', 'waiting']) await load(name);
  for (const name of ['large', 'waiting']) pool.unload(spec(name).id);
  const answering = await pool.use(spec('answering').id);
  free = 1e9; // other programs have taken what those two had
  const large = pool.use(spec('large').id);
  const waiting = pool.use(spec('waiting').id);
  waiting.catch(() => {});
  answering.release();
  await expect(large).rejects.toMatchObject({ code: 'OUT_OF_MEMORY' });
});

describe('the memory of a GPU', () => {
  /** A pool beside a GPU of 8 GB, of which each model takes 5 and 1 of a main memory that has enough. */
  function besideGpu() {
    const addon = new FakeAddon();
    const [cpu] = addon.devices;
    const total = 8e9;
    let used = 0;
    addon.listDevices = async () => [
      ...(cpu ? [cpu] : []),
      { id: 'cuda:0', name: 'A GPU', totalBytes: total, freeBytes: total - used, sharesMemory: false, sensors: null },
    ];
    const notices: string[] = [];
    const pool = new ModelPool({
      addon,
      costs: new PassCosts(),
      freeBytes: () => 100e9,
      nowMs: () => 0,
      onChange: () => {},
      onLoadFailed: () => {},
      onNotice: (message) => notices.push(message),
    });
    const onGpu = (name: string): ModelSpec => ({
      ...other(name),
      device: 'cuda:0',
      deviceLayers: 2,
      nCtx: 512,
      memory: [{ cpu: 1e9, 'cuda:0': 5e9 }],
    });
    /** The load of this model, when it has begun. */
    const begun = async (name: string) => {
      await vi.waitUntil(() => addon.loads.some(({ path }) => path === `/${name}.gguf`));
      return addon.lastLoad;
    };
    const finish = async (name: string, device = 'cuda:0') => {
      const load = await begun(name);
      if (device === 'cuda:0') used += 5e9;
      const engine = load.succeed({ name, shares: [{ device, firstLayer: 0, nLayer: 2, weightBytes: 4e9 }] });
      const { dispose } = engine;
      engine.dispose = () => {
        if (device === 'cuda:0') used -= 5e9;
        dispose.call(engine);
      };
      return engine;
    };
    const load = async (spec: ModelSpec, name: string, device?: string) => {
      const loading = pool.load(spec);
      const engine = await finish(name, device);
      await loading;
      return engine;
    };
    const stateOf = (name: string) => pool.get(other(name).id)?.state;
    return { addon, pool, notices, onGpu, begun, finish, load, stateOf };
  }

  it('is made free by a model that is idle on it, and not by one that the processor computes', async () => {
    const { pool, notices, onGpu, finish, load, stateOf } = besideGpu();
    await load(spec('processor'), 'processor', 'cpu');
    await load(onGpu('first'), 'first');
    const second = pool.load(onGpu('second'));
    await finish('second');
    await second;
    expect(['processor', 'first', 'second'].map(stateOf)).toEqual(['ready', 'unloaded', 'ready']);
    expect(notices).toEqual(['first was unloaded to make room for second.gguf.']);
  });

  it('is waited for while a model computes on it', async () => {
    const { addon, pool, onGpu, finish, load, stateOf } = besideGpu();
    await load(onGpu('first'), 'first');
    const { release } = await pool.use(onGpu('first').id);
    const second = pool.load(onGpu('second'));
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect([addon.loads.length, stateOf('first')]).toEqual([1, 'ready']);
    release();
    await finish('second');
    await second;
    expect(stateOf('first')).toBe('unloaded');
  });

  it('is nothing that keeps a model from being loaded for the processor', async () => {
    const { onGpu, load, stateOf } = besideGpu();
    await load(onGpu('first'), 'first');
    await load(spec('processor'), 'processor', 'cpu');
    expect(stateOf('first')).toBe('ready');
  });

  it('is left to a model that was just used, by one that takes as many layers as fit', async () => {
    const { addon, pool, onGpu, load, stateOf } = besideGpu();
    await load(onGpu('first'), 'first');
    const memory = [
      { cpu: 1e9, 'cuda:0': 5e9 },
      { cpu: 4e9, 'cuda:0': 1.5e9 },
    ];
    await load({ ...onGpu('second'), deviceLayers: 0, memory }, 'second');
    expect([stateOf('first'), addon.lastLoad.options.nDeviceLayers]).toEqual(['ready', 0]);
    // What it is expected to take of the main memory is what the layers take that are left to the processor.
    expect(pool.list().map(({ predictedBytes }) => predictedBytes)).toEqual([1e9, 4e9]);
  });

  it('is not free where a model that is loaded is going to take it', async () => {
    const { pool, onGpu, load } = besideGpu();
    const engine = await load(onGpu('first'), 'first'); // of its 5 GB 4 are weights
    const freeBytes = async () => (await pool.memory.gpus()).map((gpu) => [gpu.id, gpu.freeBytes]);
    expect(await freeBytes()).toEqual([['cuda:0', 3e9 - (1e9 - gpuHeadroomBytes)]]);
    expect(pool.list()[0]?.shares).toMatchObject([{ device: 'cuda:0', weights: 4e9, bytes: 5e9 }]);
    engine.kvBytesTotal = 0.4e9;
    engine.used = { kvBytesUsed: 0.1e9, nPrompt: 0 };
    expect(await freeBytes()).toEqual([['cuda:0', 3e9 - (0.9e9 - gpuHeadroomBytes)]]);
    // It has computed, and taken what that takes: now only its context grows.
    engine.used = { kvBytesUsed: 0.1e9, nPrompt: 7 };
    expect(await freeBytes()).toEqual([['cuda:0', 3e9 - 0.3e9]]);
  });

  it('is made free where the engine finds less than was expected, until nobody idle has any', async () => {
    const { addon, pool, notices, onGpu, begun, load, stateOf } = besideGpu();
    await load(spec('processor'), 'processor', 'cpu');
    await load(onGpu('first'), 'first');
    const memory = [{ cpu: 1e9, 'cuda:0': 1e9 }];
    const second = pool.load({ ...onGpu('second'), memory });
    (await begun('second')).fail(nativeError('out_of_memory'));
    await vi.waitUntil(() => addon.loads.length === 4);
    expect(notices).toEqual(['first was unloaded to make room for second.gguf.']);
    addon.lastLoad.fail(nativeError('out_of_memory'));
    await expect(second).rejects.toMatchObject({ code: 'OUT_OF_MEMORY' });
    expect(['processor', 'first', 'second'].map(stateOf)).toEqual(['ready', 'unloaded', 'failed']);
  });

  it('is of no use where the main memory cannot hold its experts and leave an eighth: nothing is tried', async () => {
    const { addon, pool, onGpu, load, finish, stateOf } = besideGpu();
    const slots = (bytes: number) => [{ cpu: 80e9, 'cuda:0': 5e9, [pinnable]: bytes }];
    await load(onGpu('first'), 'first');
    const large = pool.load({ ...onGpu('large'), memory: slots(101e9) });
    // The model that was idle went for it, as it had some of the main memory.
    await expect(large).rejects.toMatchObject({
      code: 'OUT_OF_MEMORY',
      message: 'large.gguf keeps experts in the main memory: 94.06 GiB have to be free for that, and 93.13 GiB are.',
    });
    expect([addon.loads.length, stateOf('first')]).toEqual([1, 'unloaded']);
    const fitting = pool.load({ ...onGpu('fitting'), memory: slots(99e9) });
    await finish('fitting');
    await fitting;
  });

  it('is none where the GPU is there and cannot be used: nobody goes for it, and the engine says why', async () => {
    const { addon, pool, onGpu, begun, load, stateOf } = besideGpu();
    await load(onGpu('first'), 'first');
    const unusable = `Its driver is too old. ${'x'.repeat(10_000)}`;
    const before = addon.listDevices;
    addon.listDevices = async () => (await before()).map((gpu) => (gpu.id === 'cpu' ? gpu : { ...gpu, unusable }));
    const [gpu] = await pool.memory.gpus();
    expect(deviceSchema.parse(gpu)).toMatchObject({ freeBytes: 0, reason: unusable.slice(0, 500) });
    const second = pool.load(onGpu('second'));
    (await begun('second')).fail(nativeError('invalid_argument', 'cuda:0 cannot be used.'));
    await expect(second).rejects.toMatchObject({ code: 'DEVICE_UNAVAILABLE', message: 'cuda:0 cannot be used.' });
    expect(stateOf('first')).toBe('ready');
  });

  it('is refused by the engine, which says how much is missing', async () => {
    const { addon, pool, onGpu, begun } = besideGpu();
    const large = { ...onGpu('large'), memory: [{ cpu: 1e9, 'cuda:0': 9e9 }] };
    const loading = pool.load(large);
    (await begun('large')).fail(nativeError('out_of_memory', '2 layers take 8583 MiB on cuda:0. 7629 MiB are free.'));
    await expect(loading).rejects.toMatchObject({ code: 'OUT_OF_MEMORY', message: expect.stringContaining('7629') });
    expect(addon.loads).toHaveLength(1);
  });
});
