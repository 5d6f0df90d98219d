// The open terminals: their shells in the terminal process, their screens here.
import { createStore, type StoreApi } from 'zustand/vanilla';
import type { AppApi, TerminalApi } from '../../../electron/common/api.ts';
import { toErrorInfo } from '../../../electron/common/error-info.ts';
import type { Screen } from './screen.ts';

export interface TerminalTab {
  key: number;
  title: string;
  state: 'starting' | 'running' | 'ended';
  /** What it shows can be seen: the code that draws it comes with the first terminal. */
  hasScreen: boolean;
}

export interface TerminalState {
  tabs: readonly TerminalTab[];
  activeKey: number | null;
}

interface Open {
  screen: Screen | null;
  abort: AbortController;
  /** Of the shell, once it runs. */
  id: number | null;
  /** What was typed before. */
  early: string;
}

interface TerminalDeps {
  terminal: TerminalApi;
  startProcess: AppApi['processes']['startTerminal'];
  /** Rejects after it has told the user why. */
  createScreen: () => Promise<Screen>;
}

export class TerminalStore {
  readonly store: StoreApi<TerminalState> = createStore<TerminalState>(() => ({ tabs: [], activeKey: null }));
  readonly #deps: TerminalDeps;
  readonly #open = new Map<number, Open>();
  #nextKey = 1;

  constructor(deps: TerminalDeps) {
    this.#deps = deps;
  }

  /** Opens a terminal and shows it. */
  add(): void {
    const key = this.#nextKey++;
    const open: Open = { screen: null, abort: new AbortController(), id: null, early: '' };
    this.#open.set(key, open);
    this.store.setState(({ tabs }) => ({
      tabs: [...tabs, { key, title: 'shell', state: 'starting', hasScreen: false }],
      activeKey: key,
    }));
    // Whoever makes screens has said why.
    this.#start(key, open).catch(() => this.close(key));
  }

  /** Opens one if there is none. */
  ensure(): void {
    if (this.store.getState().tabs.length === 0) this.add();
  }

  activate(key: number): void {
    this.store.setState({ activeKey: key });
  }

  screen(key: number): Screen | null {
    return this.#open.get(key)?.screen ?? null;
  }

  get active(): (TerminalTab & { screen: Screen }) | null {
    const { tabs, activeKey } = this.store.getState();
    const tab = tabs.find(({ key }) => key === activeKey);
    const screen = activeKey === null ? null : this.screen(activeKey);
    return tab && screen ? { ...tab, screen } : null;
  }

  /** Ends the shell and everything it runs in the foreground. */
  close(key: number): void {
    const open = this.#open.get(key);
    if (!open) return;
    this.#open.delete(key);
    this.store.setState(({ tabs, activeKey }) => {
      const index = tabs.findIndex((tab) => tab.key === key);
      const rest = tabs.filter((tab) => tab.key !== key);
      const neighbour = rest[Math.min(index, rest.length - 1)]?.key ?? null;
      return { tabs: rest, activeKey: activeKey === key ? neighbour : activeKey };
    });
    open.abort.abort();
    open.screen?.dispose();
  }

  async #start(key: number, open: Open): Promise<void> {
    const { terminal, createScreen } = this.#deps;
    const screen = await createScreen();
    if (open.abort.signal.aborted) return screen.dispose();
    open.screen = screen;
    this.#patch(key, { hasScreen: true });
    // A shell that ended meanwhile hears nothing, and has said so on the screen.
    const tell = (call: (id: number) => Promise<unknown>) => open.id !== null && void call(open.id).catch(() => {});
    screen.onInput((text) => {
      if (open.id === null) open.early += text;
      else tell((id) => terminal.write({ id, text }));
    });
    screen.onResize((size) => tell((id) => terminal.resize({ id, ...size })));
    await this.#run(key, open, screen);
  }

  async #run(key: number, open: Open, screen: Screen): Promise<void> {
    const { terminal, startProcess } = this.#deps;
    const { abort } = open;
    try {
      await startProcess();
      const size = { columns: screen.columns, rows: screen.rows };
      const events = await terminal.open(size, { signal: abort.signal });
      for await (const event of events) {
        if (event.type === 'started') {
          open.id = event.id;
          this.#patch(key, { title: event.title, state: 'running' });
          if (open.early !== '') await terminal.write({ id: event.id, text: open.early });
          // It may have been laid out while the shell started.
          await terminal.resize({ id: event.id, columns: screen.columns, rows: screen.rows });
        } else if (event.type === 'output') {
          const { length: nChars } = event.text;
          screen.write(event.text, () => {
            if (open.id !== null) void terminal.drawn({ id: open.id, nChars }).catch(() => {});
          });
        } else
          this.#ended(
            key,
            open,
            screen,
            `The shell ended${event.exitCode === 0 ? '' : ` with code ${event.exitCode}`}.`,
          );
      }
    } catch (error) {
      if (!abort.signal.aborted) this.#ended(key, open, screen, toErrorInfo(error).message);
    }
  }

  #ended(key: number, open: Open, screen: Screen, why: string): void {
    open.id = null;
    screen.write(`\r\n\x1b[2m${why}\x1b[0m\r\n`);
    this.#patch(key, { state: 'ended' });
  }

  #patch(key: number, patch: Partial<TerminalTab>): void {
    this.store.setState(({ tabs }) => ({ tabs: tabs.map((tab) => (tab.key === key ? { ...tab, ...patch } : tab)) }));
  }
}
