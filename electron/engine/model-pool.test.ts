import { expect, it, vi } from 'vitest';
import type { ModelSpec } from '../common/role-contract.ts';
import { ModelPool } from './model-pool.ts';
import { PassCosts } from './pass-costs.ts';
import { FakeAddon } from './testing/fake-addon.ts';
import { other } from './testing/served.ts';

const spec = (name: string): ModelSpec => ({ ...other(name), memoryBytes: 4e9 });

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
