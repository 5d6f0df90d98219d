// A terminal without a shell: a screen that remembers, and an API whose shell greets and echoes.
import type { TerminalApi } from '../../electron/common/api.ts';
import type { TerminalEvent } from '../../electron/common/terminal-contract.ts';
import type { Screen } from '../features/terminal/screen.ts';
import { EventQueue } from './event-queue.ts';

export class FakeScreen implements Screen {
  readonly columns = 80;
  readonly rows = 24;
  shown = '';
  isDisposed = false;
  #input: (text: string) => void = () => {};

  write(text: string, done?: () => void): void {
    this.shown += text;
    done?.();
  }

  onInput(listener: (text: string) => void): void {
    this.#input = listener;
  }

  onResize(): void {}

  /** As from the keyboard. */
  type(text: string): void {
    this.#input(text);
  }

  text(): string {
    return this.shown;
  }

  clear(): void {
    this.shown = '';
  }

  focus(): void {}
  attach(): void {}

  dispose(): void {
    this.isDisposed = true;
  }
}

export function createFakeTerminal(): TerminalApi {
  const events = new EventQueue<TerminalEvent>();
  return {
    open: async (_size, options) =>
      events.subscribe(options?.signal, [
        { type: 'started', id: 1, title: 'bash' },
        { type: 'output', text: '\x1b[32myou@orbit\x1b[0m:\x1b[34m~/orbit\x1b[0m$ ' },
      ]),
    write: async ({ text }) => {
      events.push({ type: 'output', text: text.replace('\r', '\r\n$ ') });
      return {};
    },
    resize: async () => ({}),
    drawn: async () => ({}),
  };
}
