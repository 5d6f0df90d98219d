import { EventEmitter } from 'node:events';
import type { MessagePortMain } from 'electron';
import { beforeEach, expect, it, onTestFinished, vi } from 'vitest';
import { WorkspaceProcess } from './workspace-process.ts';

class FakeProcess extends EventEmitter {
  pid = 2 ** 30; // beyond every real one
  postMessage(): void {}
}

const fakes = vi.hoisted(() => ({
  fork: (): unknown => undefined,
  setRoot: (): Promise<unknown> => Promise.resolve(),
}));
vi.mock('electron', () => ({
  utilityProcess: { fork: () => fakes.fork() },
  MessageChannelMain: class {},
}));
vi.mock('./control-client.ts', () => ({ controlClient: () => ({ setRoot: () => fakes.setRoot() }) }));

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  onTestFinished(() => void vi.useRealTimers());
});

const port = {} as MessagePortMain;

function served() {
  const forked: FakeProcess[] = [];
  fakes.fork = () => {
    const process = new FakeProcess();
    forked.push(process);
    return process;
  };
  /** One per call: how the process answers it. */
  const calls: PromiseWithResolvers<void>[] = [];
  fakes.setRoot = () => {
    const call = Promise.withResolvers<void>();
    calls.push(call);
    return call.promise;
  };
  const onStarted = vi.fn();
  const onRootLost = vi.fn();
  const nothing = () => {};
  const options = { entry: 'entry.js', onState: nothing, onNetworkAttempt: nothing, onRootLost };
  const workspace = new WorkspaceProcess({ ...options, root: () => '/folder', onStarted });
  workspace.process.start();
  /** What a call ends with when the process dies under it. */
  const died = Object.assign(new Error('The port was closed.'), { name: 'AbortError' });
  return { workspace, forked, calls, onStarted, onRootLost, died };
}

it('gives the window one port, when the folder is served: one from before would be replaced, and its calls lost', async () => {
  const { workspace, forked, calls, onStarted } = served();
  for (let i = 0; i < 2; i++) {
    if (i > 0) forked[0]?.emit('exit', 1);
    await vi.advanceTimersByTimeAsync(300);
    expect(forked).toHaveLength(i + 1);
    expect(workspace.serve(port)).toBe(false);
    forked[i]?.emit('spawn');
    expect(workspace.serve(port)).toBe(false);
    expect(onStarted).toHaveBeenCalledTimes(i);
    calls[i]?.resolve();
    await vi.advanceTimersByTimeAsync(0);
    expect(onStarted).toHaveBeenCalledTimes(i + 1);
    expect(workspace.serve(port)).toBe(true);
  }
});

it('says that a folder cannot be served any more', async () => {
  const { workspace, forked, calls, onStarted, onRootLost } = served();
  forked[0]?.emit('spawn');
  const gone = new Error('The folder is gone.');
  calls[0]?.reject(gone);
  await vi.advanceTimersByTimeAsync(0);
  expect(onRootLost.mock.calls).toEqual([[gone]]);
  expect(onStarted).toHaveBeenCalledOnce(); // without a folder
  expect(workspace.serve(port)).toBe(true);
});

it('keeps the folder when the process dies while it gets it: the next one gets it again', async () => {
  const { workspace, forked, calls, onStarted, onRootLost, died } = served();
  forked[0]?.emit('spawn');
  forked[0]?.emit('exit', 1);
  calls[0]?.reject(died);
  await vi.advanceTimersByTimeAsync(300);
  forked[1]?.emit('spawn');
  await vi.advanceTimersByTimeAsync(0);
  expect(onRootLost).not.toHaveBeenCalled();
  expect(onStarted).not.toHaveBeenCalled();
  expect(workspace.serve(port)).toBe(false); // the second process has not answered
  calls[1]?.resolve();
  await vi.advanceTimersByTimeAsync(0);
  expect(onStarted).toHaveBeenCalledOnce();
});

it.each(['answer', 'end'])('does not take the late %s of a process for that of the next one', async (what) => {
  const { workspace, forked, calls, onStarted, onRootLost, died } = served();
  forked[0]?.emit('spawn');
  forked[0]?.emit('exit', 1);
  await vi.advanceTimersByTimeAsync(300);
  forked[1]?.emit('spawn');
  if (what === 'answer') calls[0]?.resolve();
  else calls[0]?.reject(died);
  await vi.advanceTimersByTimeAsync(0);
  expect(onRootLost).not.toHaveBeenCalled();
  expect(onStarted).not.toHaveBeenCalled();
  expect(workspace.serve(port)).toBe(false);
});

it('opens a folder while there is no process, or it dies: the next one gets it', async () => {
  const { workspace, forked, calls, died } = served();
  forked[0]?.emit('spawn');
  calls[0]?.resolve();
  await vi.advanceTimersByTimeAsync(0);
  const opened = workspace.setRoot('/other');
  forked[0]?.emit('exit', 1);
  calls[1]?.reject(died);
  await opened;
  await workspace.setRoot('/third');
  expect(calls).toHaveLength(2);
});
