// A utility process that is started again when it dies. Main owns two: the engine and the workspace.
import { MessageChannelMain, type MessagePortMain, type UtilityProcess, utilityProcess } from 'electron';
import type { ProcessState } from '../common/app-contract.ts';
import { networkAttemptSchema } from '../common/connections.ts';
import type { ServePortMessage } from '../common/ports.ts';

export interface SupervisedProcessOptions {
  /** In the operating system's process list: "Outpost Engine". */
  serviceName: string;
  /** The bundle that the process runs. */
  entry: string;
  /** How the user knows it, at the start of a sentence: "The engine". */
  title: string;
  /** It tried to use the network, and was stopped. */
  onNetworkAttempt: (target: string) => void;
  /** Anything else that it says. */
  onMessage?: (message: unknown) => void;
  /** Every change of state, in order. */
  onState: (state: ProcessState) => void;
  /** A new process runs: give it its ports and its work. */
  onStarted: () => void;
}

/** So many deaths within the window, and it is not started again by itself: something is wrong with its input. */
const mostDeaths = 4;
const windowMs = 60_000;
const restartDelayMs = 300;
/** What a process has sent to the window arrives in this time, before it is ended for what happened to it. */
const lastWordsMs = 500;
/** How long a process may take to end by itself before it is killed. */
const stopMs = 3000;

export class SupervisedProcess {
  readonly #options: SupervisedProcessOptions;
  #process: UtilityProcess | null = null;
  #state: ProcessState = { state: 'starting' };
  #deathsMs: number[] = [];
  /** For good: the app quits. */
  #isStopped = false;
  /** Starts the next process after a death, unless something else happens before. */
  #restartTimer: NodeJS.Timeout | undefined;
  /** When the process that was ended last is gone; null when it is. Until then there is no other one. */
  #ending: Promise<void> | null = null;

  constructor(options: SupervisedProcessOptions) {
    this.#options = options;
  }

  get state(): ProcessState {
    return this.#state;
  }

  get pid(): number | undefined {
    return this.#process?.pid;
  }

  /** Nothing happens if one runs already, after a stop, and while one ends: whoever ends it says what comes after it. */
  start(): void {
    if (this.#process !== null || this.#ending !== null || this.#isStopped) return;
    clearTimeout(this.#restartTimer);
    const { entry, serviceName } = this.#options;
    const started = utilityProcess.fork(entry, [], { serviceName, stdio: 'inherit' });
    this.#process = started;
    started.on('message', (message: unknown) => {
      const attempt = networkAttemptSchema.safeParse(message);
      if (attempt.success) this.#options.onNetworkAttempt(attempt.data.target);
      else if (this.#process === started) this.#options.onMessage?.(message);
    });
    started.once('spawn', () => {
      if (this.#process !== started) return;
      this.#setState({ state: 'running' });
      this.#options.onStarted();
    });
    started.once('exit', (code) => {
      if (this.#process === started) this.#died(code);
    });
  }

  /** Hands a port to the process; false if there is none to take it. */
  serve(port: MessagePortMain, client: ServePortMessage['client']): boolean {
    if (this.#process === null || this.#state.state !== 'running') return false;
    const message: ServePortMessage = { type: 'serve', client };
    this.#process.postMessage(message, [port]);
    return true;
  }

  /** A port for main's own calls. */
  controlPort(): MessagePortMain {
    const { port1, port2 } = new MessageChannelMain();
    this.serve(port2, 'main');
    return port1;
  }

  /** The user asks: ends it if it runs, starts it anew, and forgets how often it died. */
  async restart(): Promise<void> {
    this.#deathsMs = [];
    await this.#startOver(`${this.#options.title} is being restarted.`);
  }

  /** The process cannot go on, for this reason. Another one takes its place, once its last words are heard. */
  async replace(reason: string): Promise<void> {
    if (await this.#hasEnded()) return;
    await this.#startOver(reason);
  }

  /** The same, but no other one is started until the user asks. */
  async giveUp(reason: string): Promise<void> {
    if (await this.#hasEnded()) return;
    this.#setState({ state: 'failed', reason, cause: 'device' });
    await this.#end();
  }

  /** Resolves when the process is gone. None is started any more, whoever asks: the app quits. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#end();
  }

  /** Resolves when no process is left, and none waits to be started. */
  async #end(): Promise<void> {
    clearTimeout(this.#restartTimer);
    const running = this.#process;
    this.#process = null;
    if (running) {
      this.#ending = end(running).then(() => {
        this.#ending = null;
      });
    }
    await this.#ending;
  }

  /** Waits for last words. @returns whether the process of now is gone then without that, or another one is there */
  async #hasEnded(): Promise<boolean> {
    const running = this.#process;
    await new Promise((resolve) => setTimeout(resolve, lastWordsMs));
    return running === null || this.#process !== running;
  }

  async #startOver(reason: string): Promise<void> {
    if (!this.#isStopped) this.#setState({ state: 'restarting', reason, attempt: 1 });
    await this.#end();
    this.start();
  }

  #died(code: number): void {
    this.#process = null;
    const nowMs = Date.now();
    this.#deathsMs = [...this.#deathsMs.filter((ms) => nowMs - ms < windowMs), nowMs];
    const attempt = this.#deathsMs.length;
    const reason = `${this.#options.title} stopped unexpectedly (exit code ${code}).`;
    if (attempt >= mostDeaths) {
      this.#setState({ state: 'failed', reason, cause: 'died' });
      return;
    }
    this.#setState({ state: 'restarting', reason, attempt });
    this.#restartTimer = setTimeout(() => this.start(), restartDelayMs * attempt);
  }

  #setState(state: ProcessState): void {
    this.#state = state;
    this.#options.onState(state);
  }
}

/** Asks a process to end, as soon as it is up, and kills it if it takes too long, or was too long in coming up. */
function end(running: UtilityProcess): Promise<void> {
  return new Promise((resolve) => {
    let isOverdue = false;
    const timer = setTimeout(() => {
      isOverdue = true;
      if (running.pid === undefined)
        resolve(); // nobody can do anything about it until it is up
      else kill(running.pid);
    }, stopMs);
    running.once('exit', () => {
      clearTimeout(timer);
      resolve();
    });
    if (running.pid !== undefined) running.kill();
    else
      running.once('spawn', () => {
        if (isOverdue && running.pid !== undefined) kill(running.pid);
        else running.kill();
      });
  });
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {} // It ended at this very moment; `exit` is on its way.
}
