import { describe, expect, it } from 'vitest';
import { engineContract } from '../common/engine-contract.ts';
import type { Assignment, EngineEvent, ModelSpec } from '../common/role-contract.ts';
import { connect } from '../testing/connect.ts';
import { EngineService } from './engine-service.ts';
import { FakeAddon, nativeError } from './testing/fake-addon.ts';

const target: ModelSpec = {
  id: 'file:/target.gguf',
  modelPath: '/target.gguf',
  name: 'Target',
  nThreads: 2,
  device: 'cpu',
  deviceLayers: 0,
  nCtx: 0,
  memory: [],
  kvPreset: 'exact',
  chatTemplate: null,
  contextFile: null,
  draft: { id: 'file:/draft.gguf', modelPath: '/draft.gguf', name: 'Draft', memoryBytes: 5e6 },
};
const assigned = (chat: ModelSpec): Assignment => ({
  roles: { chat, inline: null, draft: null, embedding: null },
  limitBytes: 0,
  idleMs: 0,
});

async function loadsOf(addon: FakeAddon, n: number) {
  await expect.poll(() => addon.loads.length).toBe(n);
  return addon.lastLoad;
}

/** The model as the window is told of it. */
async function shown(service: EngineService) {
  const { client } = connect(engineContract, service.router());
  const events = await client.events();
  const { value } = (await events.next()) as { value: EngineEvent };
  await events.return?.();
  return value.type === 'models' ? value.models[0] : undefined;
}

describe('the draft model of a target on a GPU', () => {
  const onGpu = { ...target, device: 'cuda:0', nCtx: 512 };

  it.each([
    ['is there too, if all of its target is', 1, 'cuda:0'],
    ['is left to the processor, if that computes a part of its target', 2, 'cpu'],
  ])('%s', async (_, nShares, device) => {
    const addon = new FakeAddon();
    const loading = new EngineService(addon).assign(assigned(onGpu));
    const shares = [
      { device: 'cpu', firstLayer: 0, nLayer: 1, weightBytes: 1 },
      { device: 'cuda:0', firstLayer: 1, nLayer: 1, weightBytes: 1 },
    ].slice(-nShares);
    (await loadsOf(addon, 1)).succeed({ shares });
    const draft = await loadsOf(addon, 2);
    expect(draft.options).toMatchObject({ device });
    draft.succeed();
    await loading;
  });
});

describe('a draft model', () => {
  it('is loaded with its target, drafts for it, and leaves with it', async () => {
    const addon = new FakeAddon();
    const service = new EngineService(addon);
    const loading = service.assign(assigned(target));
    (await loadsOf(addon, 1)).succeed({ chatTemplate: '' });
    const draft = await loadsOf(addon, 2);
    expect(draft).toMatchObject({ path: '/draft.gguf', options: { nThreads: 2 } });
    draft.succeed({ name: 'Draft' });
    expect(await loading).toMatchObject({ state: 'ready', model: { name: 'Target' } });
    expect(addon.engineOptions?.draftModel?.info.name).toBe('Draft');
    expect(await shown(service)).toMatchObject({
      draft: { name: 'Draft', problem: null },
      decoding: { nDecoded: 0 },
      memory: { draft: 5e6 },
    });
    await service.assign({ ...assigned(target), roles: { chat: null, inline: null, draft: null, embedding: null } });
    expect(addon.loads.map(({ isDisposed }) => isDisposed)).toEqual([true, true]);
  });

  it('that cannot draft is a pity and no failure: the model answers without it, and says why', async () => {
    const addon = new FakeAddon();
    const service = new EngineService(addon);
    addon.compatibility = { kind: 'none', reason: 'It is not small enough.' };
    const loading = service.assign(assigned(target));
    (await loadsOf(addon, 1)).succeed();
    const draft = await loadsOf(addon, 2);
    draft.succeed();
    expect(await loading).toMatchObject({ state: 'ready' });
    expect(addon.engineOptions).not.toHaveProperty('draftModel');
    expect(draft.isDisposed).toBe(true);
    expect(await shown(service)).toMatchObject({ draft: { problem: 'It is not small enough.' }, memory: { draft: 0 } });
  });

  it('that cannot be loaded does not keep its target from answering', async () => {
    const addon = new FakeAddon();
    const service = new EngineService(addon);
    const loading = service.assign(assigned(target));
    (await loadsOf(addon, 1)).succeed();
    (await loadsOf(addon, 2)).fail(nativeError('model_invalid', '/draft.gguf is cut off.'));
    expect(await loading).toMatchObject({ state: 'ready' });
    expect(addon.engineOptions).not.toHaveProperty('draftModel');
    expect((await shown(service))?.draft?.problem).toContain('/draft.gguf is cut off.');
  });

  it('gives way where there is no room for it beside its target', async () => {
    const addon = new FakeAddon();
    const service = new EngineService(addon);
    addon.draftRefusal = nativeError('out_of_memory', 'The GPU has no room for the KV cache.');
    const loading = service.assign(assigned(target));
    (await loadsOf(addon, 1)).succeed();
    (await loadsOf(addon, 2)).succeed();
    expect(await loading).toMatchObject({ state: 'ready' });
    expect(addon.engineOptions).not.toHaveProperty('draftModel');
    expect(addon.loads.map(({ isDisposed }) => isDisposed)).toEqual([false, true]);
    expect((await shown(service))?.draft?.problem).toContain('The GPU has no room for the KV cache.');
  });

  it('that the engine refuses for another reason is an error of the load, and nothing stays in memory', async () => {
    const addon = new FakeAddon();
    addon.draftRefusal = nativeError('internal');
    const loading = new EngineService(addon).assign(assigned(target));
    (await loadsOf(addon, 1)).succeed();
    (await loadsOf(addon, 2)).succeed();
    expect(await loading).toMatchObject({ state: 'failed', error: { code: 'INTERNAL' } });
    expect(addon.loads.map(({ isDisposed }) => isDisposed)).toEqual([true, true]);
  });

  it('that is another one takes a new load; its name alone does not', async () => {
    const addon = new FakeAddon();
    const service = new EngineService(addon);
    const loading = service.assign(assigned(target));
    (await loadsOf(addon, 1)).succeed();
    (await loadsOf(addon, 2)).succeed();
    await loading;
    await service.assign(assigned({ ...target, draft: target.draft && { ...target.draft, name: 'Renamed' } }));
    expect(addon.loads).toHaveLength(2);
    const again = service.assign(assigned({ ...target, draft: null }));
    (await loadsOf(addon, 3)).succeed();
    await again;
    expect(addon.engineOptions).not.toHaveProperty('draftModel');
    expect((await shown(service))?.draft).toBeNull();
  });
});
