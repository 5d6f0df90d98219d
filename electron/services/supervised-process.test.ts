import { type ChildProcess, spawn } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { beforeEach, expect, it, onTestFinished, vi } from 'vitest';
import type { ProcessState } from '../common/app-contract.ts';
import { SupervisedProcess } from './supervised-process.ts';

/** What Electron gives for a process. It comes up, dies and ends when the test says so. */
class FakeProcess extends EventEmitter {
  pid: number | undefined;
  readonly received: { message: unknown; ports: unknown[] }[] = [];
  isAsked = false;

  comeUp(pid = 2 ** 30): void {
    this.pid = pid; // beyond every real one
    this.emit('spawn');
  }

  exit(code: number): void {
    this.pid = undefined;
    this.emit('exit', code);
  }

  kill(): boolean {
    this.isAsked = this.pid !== undefined; // as Electron: nothing to kill before it is up
    return this.isAsked;
  }

  postMessage(message: unknown, ports: unknown[]): void {
    this.received.push({ message, ports });
  }
}

const electron = vi.hoisted(() => ({ fork: (): unknown => undefined }));
vi.mock('electron', () => ({
  utilityProcess: { fork: () => electron.fork() },
  MessageChannelMain: class {
    port1 = 'port 1';
    port2 = 'port 2';
  },
}));

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] });
  onTestFinished(() => void vi.useRealTimers());
});

function supervised() {
  const forked: FakeProcess[] = [];
  electron.fork = () => {
    const process = new FakeProcess();
    forked.push(process);
    return process;
  };
  const states: ProcessState[] = [];
  const onStarted = vi.fn();
  const onNetworkAttempt = vi.fn();
  const process = new SupervisedProcess({
    serviceName: 'Test',
    entry: 'entry.js',
    title: 'The test',
    onState: (state) => states.push(state),
    onStarted,
    onNetworkAttempt,
  });
  /** The process that was forked last. */
  const last = (): FakeProcess => {
    const found = forked.at(-1);
    if (!found) throw new Error('Nothing was forked.');
    return found;
  };
  const names = () => states.map(({ state }) => state);
  return { process, forked, last, states, names, onStarted, onNetworkAttempt };
}

it('is starting until the process is up, and running then', () => {
  const { process, last, names, onStarted } = supervised();
  expect(process.state).toEqual({ state: 'starting' });
  process.start();
  expect(onStarted).not.toHaveBeenCalled();
  last().comeUp(77);
  expect(names()).toEqual(['running']);
  expect(onStarted).toHaveBeenCalledOnce();
  expect(process.pid).toBe(77);
});

it('passes on that the process tried to use the network, and nothing else that it says', () => {
  const { process, last, onNetworkAttempt } = supervised();
  process.start();
  last().emit('message', { type: 'network-attempt', target: 'example.com:443' });
  for (const other of ['x', null, { type: 'network-attempt' }, { type: 'other', target: 'x' }])
    last().emit('message', other);
  expect(onNetworkAttempt.mock.calls).toEqual([['example.com:443']]);
});

it('hands ports over only while the process runs', () => {
  const { process, last } = supervised();
  const port = {} as never;
  expect(process.serve(port, 'renderer')).toBe(false);
  process.start();
  expect(process.serve(port, 'renderer')).toBe(false);
  last().comeUp();
  expect(process.serve(port, 'renderer')).toBe(true);
  expect(process.controlPort()).toBe('port 1');
  expect(last().received).toEqual([
    { message: { type: 'serve', client: 'renderer' }, ports: [port] },
    { message: { type: 'serve', client: 'main' }, ports: ['port 2'] },
  ]);
  last().exit(1);
  expect(process.serve(port, 'renderer')).toBe(false);
});

it('starts a process again that died, a little later each time, and gives up in the end', () => {
  const { process, forked, last, states, onStarted } = supervised();
  process.start();
  for (const [i, delayMs] of [300, 600, 900].entries()) {
    last().comeUp();
    last().exit(139);
    expect(states.at(-1)).toEqual({
      state: 'restarting',
      reason: 'The test stopped unexpectedly (exit code 139).',
      attempt: i + 1,
    });
    vi.advanceTimersByTime(delayMs - 1);
    expect(forked).toHaveLength(i + 1);
    vi.advanceTimersByTime(1);
    expect(forked).toHaveLength(i + 2);
  }
  last().comeUp();
  last().exit(139);
  expect(process.state).toEqual({ state: 'failed', reason: expect.stringContaining('139'), cause: 'died' });
  vi.advanceTimersByTime(1_000_000);
  expect(forked).toHaveLength(4);
  expect(onStarted).toHaveBeenCalledTimes(4);
});

it('counts a process that never came up as one that died', () => {
  const { process, last, names, forked } = supervised();
  process.start();
  last().exit(1);
  expect(names()).toEqual(['restarting']);
  vi.advanceTimersByTime(300);
  expect(forked).toHaveLength(2);
});

it('forgets deaths that are long ago', () => {
  const { process, last } = supervised();
  process.start();
  for (let i = 0; i < 10; i++) {
    last().comeUp();
    last().exit(1);
    expect(process.state).toMatchObject({ state: 'restarting', attempt: 1 });
    vi.advanceTimersByTime(61_000);
  }
});

it('starts anew when the user asks, also after it gave up, and forgets the deaths', async () => {
  const { process, last, forked } = supervised();
  process.start();
  for (let i = 0; i < 4; i++) {
    last().comeUp();
    last().exit(1);
    vi.advanceTimersByTime(2000);
  }
  expect(process.state.state).toBe('failed');
  await process.restart();
  expect(forked).toHaveLength(5);
  last().comeUp();
  expect(process.state.state).toBe('running');
  last().exit(1);
  expect(process.state).toMatchObject({ state: 'restarting', attempt: 1 });
});

it('ends the running process before it starts another one', async () => {
  const { process, last, forked } = supervised();
  process.start();
  last().comeUp();
  const restarted = process.restart();
  expect(process.state).toMatchObject({ state: 'restarting' });
  expect(last().isAsked).toBe(true);
  expect(forked).toHaveLength(1);
  last().exit(0);
  await restarted;
  expect(forked).toHaveLength(2);
});

it('runs one process, however often the user asks for a restart', async () => {
  const { process, last, forked } = supervised();
  process.start();
  last().comeUp();
  const restarts = [process.restart(), process.restart()];
  last().exit(0);
  await Promise.all(restarts);
  const running = forked.filter((one) => one.pid !== undefined || one.listenerCount('spawn') > 0);
  expect(running).toHaveLength(1);
});

it('starts one process when a restart comes before that of a death', async () => {
  const { process, last, forked } = supervised();
  process.start();
  last().comeUp();
  last().exit(1);
  await process.restart();
  vi.advanceTimersByTime(10_000);
  expect(forked).toHaveLength(2);
});

it('does not start again after a stop', async () => {
  const { process, last, forked, names } = supervised();
  process.start();
  last().comeUp();
  const stopped = process.stop();
  last().exit(0);
  await stopped;
  vi.advanceTimersByTime(1_000_000);
  expect(forked).toHaveLength(1);
  expect(names()).toEqual(['running']);
  await process.stop();
});

it('does not start again after a stop that followed a death', async () => {
  const { process, last, forked } = supervised();
  process.start();
  last().comeUp();
  last().exit(1);
  await process.stop();
  vi.advanceTimersByTime(1_000_000);
  expect(forked).toHaveLength(1);
});

it('does not start again when it is stopped while it restarts: the app quits', async () => {
  const { process, last, forked, names } = supervised();
  process.start();
  last().comeUp();
  const restarted = process.restart();
  const stopped = process.stop();
  last().exit(0);
  await Promise.all([restarted, stopped]);
  vi.advanceTimersByTime(1_000_000);
  expect(forked).toHaveLength(1);
  expect(names()).toEqual(['running', 'restarting']);
});

it('does not start again when it is stopped while another process takes its place', async () => {
  const { process, last, forked } = supervised();
  process.start();
  last().comeUp();
  const replaced = process.replace('It cannot go on.');
  await vi.advanceTimersByTimeAsync(500);
  const stopped = process.stop();
  last().exit(0);
  await Promise.all([replaced, stopped]);
  vi.advanceTimersByTime(1_000_000);
  expect(forked).toHaveLength(1);
});

it.each(['ends', 'has ended'])('does not start again for anybody who asks while it %s after a stop', async (when) => {
  const { process, last, forked, names } = supervised();
  process.start();
  last().comeUp();
  const stopped = process.stop();
  if (when === 'has ended') last().exit(0);
  process.start();
  const asked = [process.restart(), process.replace('It cannot go on.'), process.giveUp('It cannot go on.')];
  if (when === 'ends') last().exit(0);
  await vi.advanceTimersByTimeAsync(500);
  await Promise.all([stopped, ...asked]);
  vi.advanceTimersByTime(1_000_000);
  expect(forked).toHaveLength(1);
  expect(names()).toEqual(['running']);
});

it('is never started when it was stopped before', async () => {
  const { process, forked } = supervised();
  await process.stop();
  process.start();
  expect(forked).toHaveLength(0);
});

it('runs one process when it is to be started while it restarts', async () => {
  const { process, last, forked } = supervised();
  process.start();
  last().comeUp();
  const restarted = process.restart();
  process.start();
  expect(forked).toHaveLength(1);
  last().exit(0);
  await restarted;
  expect(forked).toHaveLength(2);
  process.start();
  expect(forked).toHaveLength(2);
});

it('starts a process again that was given up and started by somebody else, when it dies', async () => {
  const { process, last, forked, names } = supervised();
  process.start();
  last().comeUp();
  const givenUp = process.giveUp('It cannot go on.');
  await vi.advanceTimersByTimeAsync(500);
  last().exit(0);
  await givenUp;
  process.start();
  last().comeUp();
  last().exit(1);
  expect(names()).toEqual(['running', 'failed', 'running', 'restarting']);
  vi.advanceTimersByTime(300);
  expect(forked).toHaveLength(3);
});

it('waits its time after a death, also when one from before a restart had to wait', async () => {
  const { process, last, forked } = supervised();
  process.start();
  for (let i = 0; i < 2; i++) {
    last().comeUp();
    last().exit(1);
    if (i === 0) vi.advanceTimersByTime(300);
  }
  await process.restart(); // 600 ms before the third start that nobody needs any more
  expect(forked).toHaveLength(3);
  vi.advanceTimersByTime(400);
  last().comeUp();
  last().exit(1);
  vi.advanceTimersByTime(299);
  expect(forked).toHaveLength(3);
  vi.advanceTimersByTime(1);
  expect(forked).toHaveLength(4);
});

it('has nothing to start left when it gives up', async () => {
  const { process, last, forked } = supervised();
  process.start();
  let nDead = 0;
  for (let ms = 0; ms < 10_000; ms++) {
    if (forked.length > nDead) {
      nDead = forked.length;
      last().exit(1); // each at once
      if (nDead === 3) await process.restart(); // while the fourth waits its 900 ms
    }
    vi.advanceTimersByTime(1);
  }
  expect(process.state.state).toBe('failed');
  expect(forked).toHaveLength(3 + 4);
});

it('ends a process that is not up yet as soon as it is', async () => {
  const { process, last, onStarted } = supervised();
  process.start();
  const stopped = process.stop();
  last().comeUp();
  expect(last().isAsked).toBe(true);
  last().exit(0);
  await stopped;
  expect(onStarted).not.toHaveBeenCalled();
});

it('kills a process that only comes up when its time is over', async () => {
  const { process: supervisedProcess, last } = supervised();
  supervisedProcess.start();
  const stopped = supervisedProcess.stop();
  vi.advanceTimersByTime(3000);
  await stopped; // nobody waits for it
  const kill = vi.spyOn(process, 'kill').mockReturnValue(true);
  onTestFinished(() => kill.mockRestore());
  last().comeUp(2 ** 30 + 1);
  expect(kill.mock.calls).toEqual([[2 ** 30 + 1, 'SIGKILL']]);
});

it('survives that a process is gone when its time is up, but nobody has said so', async () => {
  const { process, last } = supervised();
  process.start();
  last().comeUp(2 ** 30);
  const stopped = process.stop();
  vi.advanceTimersByTime(3000); // kills an id that no process has
  last().exit(0);
  await stopped;
});

it.skipIf(process.platform === 'win32')('kills a process that does not end', async () => {
  const stubborn = spawn(process.execPath, [
    '-e',
    "process.on('SIGTERM', () => console.log('asked')); setInterval(() => {}, 1000); console.log('up')",
  ]);
  onTestFinished(() => void stubborn.kill('SIGKILL'));
  const { process: supervisedProcess } = supervised();
  electron.fork = (): ChildProcess => stubborn;
  supervisedProcess.start();
  const { stdout } = stubborn;
  await once(stdout, 'data');
  expect(supervisedProcess.state.state).toBe('running');
  const exited = once(stubborn, 'exit');
  const stopped = supervisedProcess.stop();
  await once(stdout, 'data'); // it was asked, and stays
  expect(stubborn.exitCode ?? stubborn.signalCode).toBeNull();
  vi.advanceTimersByTime(3000);
  expect(await exited).toEqual([null, 'SIGKILL']);
  await stopped;
});
