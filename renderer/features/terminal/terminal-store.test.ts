import { beforeEach, expect, it, vi } from 'vitest';
import type { TerminalApi } from '../../../electron/common/api.ts';
import type { TerminalEvent } from '../../../electron/common/terminal-contract.ts';
import { EventQueue } from '../../testing/event-queue.ts';
import { FakeScreen } from '../../testing/fake-terminal.ts';
import { TerminalStore } from './terminal-store.ts';

let events: EventQueue<TerminalEvent>;
let screens: FakeScreen[];
let terminals: TerminalStore;
const calls = { write: vi.fn(), resize: vi.fn(), drawn: vi.fn() };
const ending = vi.fn();

beforeEach(() => {
  vi.clearAllMocks();
  events = new EventQueue();
  screens = [];
  const terminal: TerminalApi = {
    open: async (_size, options) => {
      options?.signal?.addEventListener('abort', ending);
      return events.subscribe(options?.signal);
    },
    write: async (input) => calls.write(input) ?? {},
    resize: async (input) => calls.resize(input) ?? {},
    drawn: async (input) => calls.drawn(input) ?? {},
  };
  terminals = new TerminalStore({
    terminal,
    startProcess: async () => ({}),
    createScreen: async () => {
      const screen = new FakeScreen();
      screens.push(screen);
      return screen;
    },
  });
});

const tab = () => terminals.store.getState().tabs[0];
const settled = () => new Promise((resolve) => setTimeout(resolve, 5));

async function started(): Promise<FakeScreen> {
  terminals.add();
  await settled();
  events.push({ type: 'started', id: 7, title: 'bash' });
  await settled();
  const [screen] = screens;
  if (!screen) throw new Error('No screen was made.');
  return screen;
}

it('draws what the shell writes, tells when it is drawn, and sends what is typed', async () => {
  const screen = await started();
  expect(tab()).toMatchObject({ title: 'bash', state: 'running' });
  expect(calls.resize).toHaveBeenCalledWith({ id: 7, columns: 80, rows: 24 });
  events.push({ type: 'output', text: '$ ' });
  await settled();
  expect(screen.shown).toBe('$ ');
  expect(calls.drawn).toHaveBeenCalledWith({ id: 7, nChars: 2 });
  screen.type('ls\r');
  expect(calls.write).toHaveBeenCalledWith({ id: 7, text: 'ls\r' });
});

it('keeps what is typed until the shell runs', async () => {
  terminals.add();
  await settled();
  screens[0]?.type('ls');
  screens[0]?.type('\r');
  await settled();
  events.push({ type: 'started', id: 7, title: 'bash' });
  await settled();
  expect(calls.write.mock.calls).toEqual([[{ id: 7, text: 'ls\r' }]]);
});

it('keeps the screen of a shell that ended, says so, and sends nothing more', async () => {
  const screen = await started();
  events.push({ type: 'ended', exitCode: 3 });
  await settled();
  expect(tab()).toMatchObject({ state: 'ended' });
  expect(screen.shown).toContain('ended with code 3');
  screen.type('x');
  expect(calls.write).not.toHaveBeenCalled();
});

it('ends the shell when the terminal is closed, and shows its neighbour', async () => {
  const screen = await started();
  terminals.add();
  const { tabs } = terminals.store.getState();
  expect(terminals.store.getState().activeKey).toBe(tabs[1]?.key);
  terminals.close(tabs[1]?.key ?? 0);
  expect(terminals.store.getState().activeKey).toBe(tabs[0]?.key);
  terminals.close(tabs[0]?.key ?? 0);
  expect(terminals.store.getState()).toEqual({ tabs: [], activeKey: null });
  expect(ending).toHaveBeenCalled();
  expect(screen.isDisposed).toBe(true);
  // The second was closed before it had a screen: it runs no shell, and nothing of it stays.
  await settled();
  expect(screens.map(({ isDisposed }) => isDisposed)).toEqual([true, true]);
});

it('a terminal that cannot be drawn is closed', async () => {
  const broken = new TerminalStore({
    terminal: {} as TerminalApi,
    startProcess: async () => ({}),
    createScreen: () => Promise.reject(new Error('torn')),
  });
  broken.add();
  await settled();
  expect(broken.store.getState()).toEqual({ tabs: [], activeKey: null });
});
