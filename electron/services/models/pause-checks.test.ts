import { expect, it, vi } from 'vitest';
import type { ModelEntry } from '../../common/model-contract.ts';
import { PauseChecks } from './pause-checks.ts';

const model = (id: string, more: Partial<ModelEntry> = {}) =>
  ({ id, state: 'ready', kvCheck: null, job: null, ...more }) as ModelEntry;

function setUp(models: ModelEntry[]) {
  const pauses: PromiseWithResolvers<void>[] = [];
  const checks: (PromiseWithResolvers<boolean> & { id: string })[] = [];
  const checked = new PauseChecks({
    candidates: () => models,
    pause: (signal) => {
      const pause = Promise.withResolvers<void>();
      signal.addEventListener('abort', () => pause.reject(signal.reason));
      pauses.push(pause);
      return pause.promise;
    },
    check: (id) => {
      const check = { id, ...Promise.withResolvers<boolean>() };
      checks.push(check);
      return check.promise;
    },
  });
  const nth = async <T>(list: T[], n: number): Promise<T> => {
    await vi.waitUntil(() => list.length > n);
    return list[n] as T;
  };
  return { models, checked, pauses, checks, nth };
}

it('checks one model after the other, each in a pause, and again what gave way', async () => {
  const { models, checked, pauses, checks, nth } = setUp([model('a'), model('b')]);
  checked.start();
  expect(checks).toHaveLength(0);
  (await nth(pauses, 0)).resolve();
  (await nth(checks, 0)).resolve(true); // somebody asked for something
  (await nth(pauses, 1)).resolve();
  const again = await nth(checks, 1);
  models[0] = model('a', { kvCheck: {} as ModelEntry['kvCheck'] });
  again.resolve(false);
  (await nth(pauses, 2)).resolve();
  (await nth(checks, 2)).resolve(false);
  expect(checks.map(({ id }) => id)).toEqual(['a', 'a', 'b']);
});

it('leaves alone what the user ended, what cannot be checked, and what is busy', async () => {
  const { checked, pauses, checks, nth } = setUp([
    model('busy', { job: { kind: 'verify', progress: null } }),
    model('gone', { state: 'missing' }),
    model('ended'),
    model('broken'),
  ]);
  checked.start();
  (await nth(pauses, 0)).resolve();
  (await nth(checks, 0)).resolve(false); // there is no result: it was ended
  (await nth(pauses, 1)).resolve();
  (await nth(checks, 1)).reject(new Error('It cannot be loaded.'));
  await vi.waitFor(() => expect(checks.map(({ id }) => id)).toEqual(['ended', 'broken']));
  await Promise.resolve();
  expect(pauses).toHaveLength(2); // nobody waits for another pause
});

it('ends with the engine, and begins again with the next one', async () => {
  const { checked, pauses, checks, nth } = setUp([model('a')]);
  checked.start();
  (await nth(pauses, 0)).reject(new Error('The engine died.'));
  checked.start();
  (await nth(pauses, 1)).resolve();
  expect((await nth(checks, 0)).id).toBe('a');
  checked.stop();
});
