import { join } from 'node:path';
import { expect, it, vi } from 'vitest';
import { temporaryFolder } from '../../testing/temporary-folder.ts';
import { Library } from './library.ts';
import { Machine } from './machine.ts';
import { SpeedFile } from './machine-speed.ts';
import { aGpu } from './testing/a-gpu.ts';

it('tells of GPUs when they are looked at, also of the last one when it is gone, and of none where there is none', async () => {
  const folder = await temporaryFolder();
  let gpus = [aGpu];
  const onChange = vi.fn();
  const machine = new Machine({
    speed: new SpeedFile(join(folder, 'speed.json')),
    library: new Library(join(folder, 'library.json'), () => {}),
    measure: () => Promise.reject(new Error('Not in this test.')),
    gpus: async () => gpus,
    onChange,
  });
  await machine.lookAtGpus();
  expect([machine.memory(0).gpus, onChange.mock.calls.length]).toEqual([[aGpu], 1]);
  gpus = [];
  await machine.lookAtGpus();
  expect([machine.memory(0).gpus, onChange.mock.calls.length]).toEqual([[], 2]);
  await machine.lookAtGpus();
  expect(onChange).toHaveBeenCalledTimes(2);
});
