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

it('tells of a GPU that cannot be used, and plans and measures nothing for it', async () => {
  const folder = await temporaryFolder();
  const measure = vi.fn();
  const refusing = { ...aGpu, freeBytes: 0, reason: 'Its driver is too old.' };
  const machine = new Machine({
    speed: new SpeedFile(join(folder, 'speed.json')),
    library: new Library(join(folder, 'library.json'), () => {}),
    measure,
    gpus: async () => [refusing],
    onChange: () => {},
  });
  await machine.lookAtGpus();
  expect([machine.memory(0).gpus, machine.gpu(aGpu.id)]).toEqual([[refusing], undefined]);
  await machine.measureSpeeds(['q8_0'], aGpu.id);
  expect(measure).not.toHaveBeenCalled();
});
