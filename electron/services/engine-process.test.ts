import { EventEmitter } from 'node:events';
import { beforeEach, expect, it, onTestFinished, vi } from 'vitest';
import type { ProcessState } from '../common/app-contract.ts';
import type { Assignment } from '../common/role-contract.ts';
import { EngineProcess } from './engine-process.ts';

/** Comes up at once, and ends when it is asked to. */
class FakeProcess extends EventEmitter {
  pid: number | undefined = 2 ** 30; // beyond every real one
  postMessage(): void {}
  kill(): void {
    this.end(0);
  }
  end(code: number): void {
    this.pid = undefined;
    this.emit('exit', code);
  }
  loseDevice(message = 'The GPU failed while computing: launch failure.'): void {
    this.emit('message', { type: 'device-lost', message });
  }
}

const fakes = vi.hoisted(() => ({
  fork: (): unknown => undefined,
  assign: (_: unknown): Promise<unknown> => Promise.resolve(),
}));
vi.mock('electron', () => ({ utilityProcess: { fork: () => fakes.fork() }, MessageChannelMain: class {} }));
vi.mock('./control-client.ts', () => ({
  controlClient: () => ({ assign: (assignment: unknown) => fakes.assign(assignment) }),
}));

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] });
  onTestFinished(() => void vi.useRealTimers());
});

/** An engine that runs, and its models. */
async function running() {
  const forked: FakeProcess[] = [];
  fakes.fork = () => {
    const process = new FakeProcess();
    forked.push(process);
    queueMicrotask(() => process.emit('spawn'));
    return process;
  };
  const assigned = vi.fn(async () => {});
  fakes.assign = assigned;
  const assignment = { roles: {} } as Assignment;
  const states: ProcessState[] = [];
  const onNotice = vi.fn();
  const nothing = () => {};
  const engine = new EngineProcess({
    entry: 'entry.js',
    assignment: async () => assignment,
    onState: (state) => states.push(state),
    onStarted: nothing,
    onNetworkAttempt: nothing,
    onNotice,
  });
  engine.process.start();
  await vi.advanceTimersByTimeAsync(0);
  const last = (): FakeProcess => forked.at(-1) ?? expect.unreachable();
  return { engine, forked, last, assigned, assignment, states, onNotice };
}

it('starts another process when the GPU is lost, with the same models, and says so', async () => {
  const { forked, last, assigned, assignment, states, onNotice } = await running();
  last().loseDevice('The GPU failed.');
  await vi.advanceTimersByTimeAsync(499); // the requests that it ended have time to say why
  expect(states.map(({ state }) => state)).toEqual(['running']);
  await vi.advanceTimersByTimeAsync(1);
  expect(states.slice(1)).toEqual([
    { state: 'restarting', reason: 'The GPU failed.', attempt: 1 },
    { state: 'running' },
  ]);
  expect(forked).toHaveLength(2);
  expect(forked[0]?.pid).toBeUndefined();
  expect(assigned.mock.calls).toEqual([[assignment], [assignment]]);
  expect(onNotice.mock.calls).toEqual([
    [
      {
        code: 'DEVICE_LOST',
        message: 'The GPU stopped working, and the engine was started again.',
        hint: expect.any(String),
        detail: 'The GPU failed.',
      },
    ],
  ]);
});

it('does not start it again when the GPU is lost again soon', async () => {
  const { engine, forked, last, states, onNotice } = await running();
  last().loseDevice();
  await vi.advanceTimersByTimeAsync(9 * 60_000);
  last().loseDevice('The GPU failed.');
  await vi.advanceTimersByTimeAsync(60_000);
  expect(forked).toHaveLength(2);
  expect(forked[1]?.pid).toBeUndefined();
  expect(states.at(-1)).toEqual({
    state: 'failed',
    reason: 'The GPU stopped working again. The GPU failed.',
    cause: 'device',
  });
  expect(onNotice).toHaveBeenCalledOnce();

  await engine.process.restart(); // the user asks
  await vi.advanceTimersByTimeAsync(0);
  expect(states.at(-1)).toEqual({ state: 'running' });
  expect(onNotice).toHaveBeenCalledOnce();
});

it('starts it again after a loss that is long ago', async () => {
  const { forked, last, states } = await running();
  for (let i = 2; i < 5; ++i) {
    last().loseDevice();
    await vi.advanceTimersByTimeAsync(11 * 60_000);
    expect(forked).toHaveLength(i);
    expect(states.at(-1)).toEqual({ state: 'running' });
  }
});

it('leaves a process alone that took the place of the one that lost its GPU', async () => {
  const { forked, last, states } = await running();
  last().loseDevice();
  last().end(139);
  await vi.advanceTimersByTimeAsync(10_000);
  expect(forked).toHaveLength(2);
  expect(states.map(({ state }) => state)).toEqual(['running', 'restarting', 'running']);
  forked[0]?.loseDevice();
  await vi.advanceTimersByTimeAsync(10_000);
  expect(forked).toHaveLength(2);
});

it('gives it its models again, with those whose loads were stopped if that is wanted', async () => {
  const { engine, assigned, assignment } = await running();
  await engine.load();
  await engine.load(/*again=*/ true);
  expect(assigned.mock.calls.slice(1)).toEqual([[assignment], [{ ...assignment, again: true }]]);
});

it('says that the engine is not there while it starts anew, instead of asking the one that died', async () => {
  const { engine, last, assigned } = await running();
  last().end(1);
  expect(() => engine.gpus()).toThrow('The engine is starting.');
  await engine.load();
  await engine.forget();
  expect(assigned).toHaveBeenCalledOnce(); // by the start
});
