import { EventEmitter } from 'node:events';
import type { MessagePortMain } from 'electron';
import { expect, it, vi } from 'vitest';
import { TerminalProcess } from './terminal-process.ts';

class FakeProcess extends EventEmitter {
  pid = 2 ** 30; // beyond every real one
  postMessage(): void {}
}

const fakes = vi.hoisted(() => ({
  process: null as unknown,
  setRoot: (): Promise<unknown> => Promise.resolve(),
}));
vi.mock('electron', () => ({ utilityProcess: { fork: () => fakes.process }, MessageChannelMain: class {} }));
vi.mock('./control-client.ts', () => ({ controlClient: () => ({ setRoot: () => fakes.setRoot() }) }));

const port = {} as MessagePortMain;

function terminal() {
  const forked = new FakeProcess();
  fakes.process = forked;
  const call = Promise.withResolvers<void>();
  fakes.setRoot = () => call.promise;
  const onStarted = vi.fn();
  const nothing = () => {};
  const options = { entry: 'entry.js', onState: nothing, onNetworkAttempt: nothing };
  const process = new TerminalProcess({ ...options, root: () => '/folder', onStarted });
  process.process.start();
  forked.emit('spawn');
  const dies = () => {
    forked.emit('exit', 1);
    call.reject(Object.assign(new Error('The port was closed.'), { name: 'AbortError' }));
  };
  return { terminal: process, call, dies, onStarted };
}

it('gives the window a port when the process knows where shells start', async () => {
  const { terminal: started, call, onStarted } = terminal();
  expect(started.serve(port)).toBe(false);
  call.resolve();
  await vi.waitFor(() => expect(onStarted).toHaveBeenCalledOnce());
  expect(started.serve(port)).toBe(true);
});

it('waits for the next process when this one dies before it knows that', async () => {
  const { terminal: started, dies, onStarted } = terminal();
  dies();
  await new Promise((resolve) => setImmediate(resolve)); // a rejection that nobody handles would fail the test
  expect(onStarted).not.toHaveBeenCalled();
  expect(started.serve(port)).toBe(false);
});

it('lets another folder be opened when the process dies, or is not there', async () => {
  const { terminal: started, dies } = terminal();
  const changed = started.rootChanged();
  dies();
  await changed;
  fakes.setRoot = () => expect.unreachable();
  await started.rootChanged();
});
