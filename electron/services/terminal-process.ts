// The terminal process, and the folder that its shells start in.
import type { MessagePortMain } from 'electron';
import { isAbort } from '../common/error-info.ts';
import { terminalControlContract } from '../common/terminal-contract.ts';
import { controlClient } from './control-client.ts';
import { SupervisedProcess, type SupervisedProcessOptions } from './supervised-process.ts';

type Control = ReturnType<typeof controlClient<typeof terminalControlContract>>;

interface TerminalProcessOptions extends Pick<SupervisedProcessOptions, 'entry' | 'onState' | 'onNetworkAttempt'> {
  root: () => string | null;
  /** The window may have its port. */
  onStarted: () => void;
}

export class TerminalProcess {
  readonly process: SupervisedProcess;
  readonly #options: TerminalProcessOptions;
  #control: Control | null = null;
  /** As in workspace-process.ts: one port for the window, when the process knows where shells start. */
  #hasRoot = false;

  constructor(options: TerminalProcessOptions) {
    this.#options = options;
    this.process = new SupervisedProcess({
      entry: options.entry,
      onState: options.onState,
      onNetworkAttempt: options.onNetworkAttempt,
      serviceName: 'Outpost Terminal',
      title: 'The process of the terminals',
      onStarted: () => void this.#started(),
    });
  }

  /** Another folder is open: shells that run stay where they are. */
  async rootChanged(): Promise<void> {
    if (this.process.state.state === 'running' && this.#control) await this.#giveRoot(this.#control);
  }

  /** @returns whether the process has it; if not, it died, and the next one gets it when it starts */
  async #giveRoot(control: Control): Promise<boolean> {
    try {
      await control.setRoot({ root: this.#options.root() });
      return true;
    } catch (error) {
      if (isAbort(error)) return false;
      throw error;
    }
  }

  serve(port: MessagePortMain): boolean {
    return this.#hasRoot && this.process.serve(port, 'renderer');
  }

  async #started(): Promise<void> {
    this.#hasRoot = false;
    const control = controlClient(this.process.controlPort(), terminalControlContract);
    this.#control = control;
    if (!(await this.#giveRoot(control)) || this.#control !== control) return;
    this.#hasRoot = true;
    this.#options.onStarted();
  }
}
