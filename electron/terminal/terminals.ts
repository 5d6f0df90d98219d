// The running shells, as the terminal process serves them.
import { homedir } from 'node:os';
import { implement } from '@orpc/server';
import { appError } from '../common/app-error.ts';
import { EventStream } from '../common/event-stream.ts';
import { type TerminalEvent, terminalContract, terminalControlContract } from '../common/terminal-contract.ts';
import { type Shell, shellEnvironment } from './shell.ts';

/** What a pseudo-terminal can do, as node-pty names it. */
export interface Pty {
  onData(listener: (text: string) => void): unknown;
  onExit(listener: (end: { exitCode: number }) => void): unknown;
  write(text: string): void;
  resize(columns: number, rows: number): void;
  pause(): void;
  resume(): void;
  kill(): void;
}

export interface PtyOptions {
  cwd: string;
  env: Record<string, string>;
  cols: number;
  rows: number;
  name: string;
}

export type SpawnPty = (program: string, args: string[], options: PtyOptions) => Pty;

/** Output is sent at most this often: more is no smoother. */
const batchMs = 8;
/** A shell that is so far ahead of its screen waits; the screen is ahead again at the lower mark. */
const mostUndrawn = 400_000;
const fewUndrawn = 100_000;

interface Running {
  pty: Pty;
  nUndrawn: number;
  isPaused: boolean;
}

export class Terminals {
  readonly #spawn: SpawnPty;
  readonly #shell: Shell;
  readonly #env: Readonly<Record<string, string | undefined>>;
  readonly #running = new Map<number, Running>();
  #root: string | null = null;
  #nextId = 1;

  constructor(spawn: SpawnPty, shell: Shell, env: Readonly<Record<string, string | undefined>>) {
    this.#spawn = spawn;
    this.#shell = shell;
    this.#env = env;
  }

  /** What the renderer may call. */
  router() {
    const os = implement(terminalContract);
    return os.router({
      open: os.open.handler(({ input, signal }) => this.#open(input, signal)),
      write: os.write.handler(({ input: { id, text } }) => this.#with(id, ({ pty }) => pty.write(text))),
      resize: os.resize.handler(({ input: { id, columns, rows } }) =>
        this.#with(id, ({ pty }) => pty.resize(columns, rows)),
      ),
      drawn: os.drawn.handler(({ input: { id, nChars } }) => this.#with(id, (running) => drawn(running, nChars))),
    });
  }

  /** What only main may call. */
  controlRouter() {
    const os = implement(terminalControlContract);
    return os.router({
      setRoot: os.setRoot.handler(({ input: { root } }) => {
        this.#root = root;
        return {};
      }),
    });
  }

  async *#open(size: { columns: number; rows: number }, signal: AbortSignal | undefined) {
    signal?.throwIfAborted();
    const events = new EventStream<TerminalEvent>();
    const stream = events.subscribe(signal);
    const next = stream.next(); // listens before the first output can come
    const id = this.#nextId++;
    const running = this.#start(id, size, events);
    try {
      yield { type: 'started', id, title: this.#shell.title } satisfies TerminalEvent;
      for (let event = await next; !event.done; event = await stream.next()) {
        yield event.value;
        if (event.value.type === 'ended') return;
      }
    } finally {
      this.#running.delete(id);
      running.pty.kill();
      await stream.return();
    }
  }

  #start(
    id: number,
    { columns, rows }: { columns: number; rows: number },
    events: EventStream<TerminalEvent>,
  ): Running {
    const { program, args } = this.#shell;
    const options = { cwd: this.#root ?? homedir(), env: shellEnvironment(this.#env), name: 'xterm-256color' };
    let pty: Pty;
    try {
      pty = this.#spawn(program, args, { ...options, cols: columns, rows });
    } catch (error) {
      const detail = error instanceof Error ? error.message : String(error);
      throw appError('TERMINAL_FAILED', `The shell ${program} could not be started.`, { detail }, error);
    }
    const running: Running = { pty, nUndrawn: 0, isPaused: false };
    this.#running.set(id, running);
    let batch = '';
    const flush = () => {
      if (batch !== '') events.push({ type: 'output', text: batch });
      batch = '';
    };
    pty.onData((text) => {
      if (batch === '') setTimeout(flush, batchMs);
      batch += text;
      running.nUndrawn += text.length;
      if (running.nUndrawn <= mostUndrawn || running.isPaused) return;
      running.isPaused = true;
      pty.pause();
    });
    pty.onExit(({ exitCode }) => {
      this.#running.delete(id);
      flush();
      events.push({ type: 'ended', exitCode });
    });
    return running;
  }

  #with(id: number, act: (running: Running) => void): Record<string, never> {
    const running = this.#running.get(id);
    if (!running) throw appError('NOT_FOUND', 'This shell has ended.', { hint: 'Open a new terminal.' });
    act(running);
    return {};
  }
}

function drawn(running: Running, nChars: number): void {
  running.nUndrawn = Math.max(0, running.nUndrawn - nChars);
  if (!running.isPaused || running.nUndrawn > fewUndrawn) return;
  running.isPaused = false;
  running.pty.resume();
}
