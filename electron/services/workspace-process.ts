// The workspace process and the folder it serves. A restarted one gets the same folder again.
import type { MessagePortMain } from 'electron';
import { isAbort } from '../common/error-info.ts';
import { workspaceControlContract } from '../common/workspace-contract.ts';
import { controlClient } from './control-client.ts';
import { SupervisedProcess, type SupervisedProcessOptions } from './supervised-process.ts';

type Control = ReturnType<typeof controlClient<typeof workspaceControlContract>>;

interface WorkspaceProcessOptions extends Pick<SupervisedProcessOptions, 'entry' | 'onState' | 'onNetworkAttempt'> {
  /** The root to serve when a process starts. */
  root: () => string | null;
  /** The process serves the root: the window may have its port. */
  onStarted: () => void;
  /** The root cannot be served any more. */
  onRootLost: (error: unknown) => void;
}

export class WorkspaceProcess {
  readonly process: SupervisedProcess;
  readonly #options: WorkspaceProcessOptions;
  #control: Control | null = null;
  /** The process has the root. A window that had a port before would get another one then, and lose its calls. */
  #hasRoot = false;

  constructor(options: WorkspaceProcessOptions) {
    this.#options = options;
    this.process = new SupervisedProcess({
      entry: options.entry,
      onState: options.onState,
      onNetworkAttempt: options.onNetworkAttempt,
      serviceName: 'Outpost Workspace',
      title: 'The process that reads and writes files',
      onStarted: () => void this.#started(),
    });
  }

  /**
   * If there is no process, or it dies, the next one gets `root()` when it starts.
   * @throws FILE_NOT_FOUND, PERMISSION_DENIED; the folder that was open stays open then
   */
  async setRoot(root: string | null): Promise<void> {
    if (this.process.state.state !== 'running') return;
    try {
      await this.#control?.setRoot({ root });
    } catch (error) {
      if (!isAbort(error)) throw error;
    }
  }

  /** Hands the window a port; false if there is nobody to serve it yet. */
  serve(port: MessagePortMain): boolean {
    return this.#hasRoot && this.process.serve(port, 'renderer');
  }

  async #started(): Promise<void> {
    this.#hasRoot = false;
    const control = controlClient(this.process.controlPort(), workspaceControlContract);
    this.#control = control;
    let lost: unknown;
    try {
      await control.setRoot({ root: this.#options.root() });
    } catch (error) {
      lost = error;
    }
    // The process died meanwhile, and the next one is on its way, or there already.
    if (this.#control !== control || isAbort(lost)) return;
    if (lost !== undefined) this.#options.onRootLost(lost);
    this.#hasRoot = true;
    this.#options.onStarted();
  }
}
