import { EventEmitter } from 'node:events';
import type { MessagePortMain } from 'electron';
import { expect, it, vi } from 'vitest';
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

it('gives the window one port, when the folder is served: one from before would be replaced, and its calls lost', async () => {
  const forked: FakeProcess[] = [];
  fakes.fork = () => {
    const process = new FakeProcess();
    forked.push(process);
    return process;
  };
  const onStarted = vi.fn();
  const nothing = () => {};
  const options = { entry: 'entry.js', onState: nothing, onNetworkAttempt: nothing, onRootLost: nothing };
  const workspace = new WorkspaceProcess({ ...options, root: () => '/folder', onStarted });
  const port = {} as MessagePortMain;
  for (let i = 0; i < 2; i++) {
    const isSet = Promise.withResolvers<void>();
    fakes.setRoot = () => isSet.promise;
    if (i === 0) workspace.process.start();
    else forked[0]?.emit('exit', 1);
    await vi.waitFor(() => expect(forked).toHaveLength(i + 1));
    expect(workspace.serve(port)).toBe(false);
    forked[i]?.emit('spawn');
    expect(workspace.serve(port)).toBe(false);
    expect(onStarted).toHaveBeenCalledTimes(i);
    isSet.resolve();
    await vi.waitFor(() => expect(onStarted).toHaveBeenCalledTimes(i + 1));
    expect(workspace.serve(port)).toBe(true);
  }
});
