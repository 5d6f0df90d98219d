import { describe, expect, it } from 'vitest';
import type { Device } from '../../../electron/common/role-contract.ts';
import { fakeGpu } from '../../testing/fake-models.ts';
import { deviceProblem, gpuChoices, nameOfGpu, namesOfDevice, refusingGpus } from './device-names.ts';

const fast: Device = { ...fakeGpu, name: 'Fast', totalBytes: 8e9, freeBytes: 6e9 };
const small: Device = { ...fakeGpu, id: 'cuda:1', name: 'Small', totalBytes: 4e9, freeBytes: 1e9 };
const twin: Device = { ...fast, id: 'cuda:1' };
const old: Device = { ...small, reason: 'Its driver is too old.' };

describe('GPUs that can be chosen', () => {
  it('are each of them, and all that have a memory of their own together', () => {
    expect(gpuChoices([fast]).map(({ name }) => name)).toEqual(['Fast']);
    const choices = gpuChoices([fast, small]);
    expect(choices.map(({ id, name }) => [id, name])).toEqual([
      ['cuda:0', 'Fast'],
      ['cuda:1', 'Small'],
      ['cuda:0,cuda:1', 'Both GPUs'],
    ]);
    expect(choices.at(-1)).toMatchObject({ freeBytes: 7e9, totalBytes: 12e9 });
    expect(gpuChoices([fast, small, { ...small, id: 'cuda:2' }]).at(-1)?.name).toBe('All 3 GPUs');
    const shared = { ...fakeGpu, id: 'metal:0', sharesMemory: true };
    expect(gpuChoices([shared, fast]).map(({ id }) => id)).toEqual(['metal:0', 'cuda:0']);
  });

  it('are not those that are there and cannot be used, which say why', () => {
    expect(gpuChoices([fast, old]).map(({ id }) => id)).toEqual(['cuda:0']);
    expect(refusingGpus([fast, old])).toEqual([{ id: 'cuda:1', name: 'Small', reason: 'Its driver is too old.' }]);
    expect(refusingGpus([{ ...twin, reason: '' }, fast])).toEqual([
      { id: 'cuda:1', name: 'Fast (cuda:1)', reason: 'its driver does not say why.' },
    ]);
    const refused = 'cuda:1 (Small) refuses this program: out of memory';
    expect(refusingGpus([{ ...small, reason: refused }]).map(({ reason }) => reason)).toEqual([`${refused}.`]);
  });

  it('have their ids where two have one name', () => {
    expect([nameOfGpu(fast, [fast, twin]), nameOfGpu(fast, [fast, small])]).toEqual(['Fast (cuda:0)', 'Fast']);
    expect(namesOfDevice('cuda:0,cuda:1,cuda:2', [fast, small])).toBe('Fast and Small and cuda:2');
  });
});

describe('what is wrong with the GPU that is chosen', () => {
  it('is nothing with the processor, and with GPUs that can be used', () => {
    expect(deviceProblem('cpu', [])).toBeNull();
    expect(deviceProblem('cuda:0,cuda:1', [small, fast])).toBeNull();
  });

  it('is that it cannot be used, with what may be the cause, and what else can compute', () => {
    expect(deviceProblem('cuda:0', [])).toMatchObject({
      message: 'cuda:0 cannot be used now.',
      hint: expect.stringMatching(/another program has it .* Or choose the processor\.$/),
    });
    expect(deviceProblem('cuda:1', [old])).toEqual({
      message: 'Small cannot be used now.',
      hint: 'Its driver is too old. Load the model again once that is solved, or choose the processor.',
    });
    // Of one of the two nobody knows why.
    expect(deviceProblem('cuda:1,cuda:2', [fast, old])).toMatchObject({
      message: 'Small and cuda:2 cannot be used now.',
      hint: expect.stringMatching(/another program has it .* Or choose the processor or another GPU\.$/),
    });
    expect(deviceProblem('cuda:0,cuda:1', [fast])).toMatchObject({
      message: 'cuda:1 cannot be used now.',
      hint: expect.stringMatching(/Or choose the processor or another GPU\.$/),
    });
  });
});
