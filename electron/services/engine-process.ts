// The engine process and the model it is to have loaded. A restarted engine loads the same model again.

import { engineControlContract } from '../common/engine-contract.ts';
import { isAbort } from '../common/error-info.ts';
import type { Settings } from '../common/settings.ts';
import { controlClient } from './control-client.ts';
import { defaultModelName, defaultModelPath } from './default-model.ts';
import { SupervisedProcess, type SupervisedProcessOptions } from './supervised-process.ts';

interface EngineProcessOptions
  extends Pick<SupervisedProcessOptions, 'entry' | 'onState' | 'onStarted' | 'onNetworkAttempt'> {
  settings: () => Settings;
}

type Control = ReturnType<typeof controlClient<typeof engineControlContract>>;

export class EngineProcess {
  readonly process: SupervisedProcess;
  readonly #options: EngineProcessOptions;
  #control: Control | null = null;

  constructor(options: EngineProcessOptions) {
    this.#options = options;
    this.process = new SupervisedProcess({
      entry: options.entry,
      onState: options.onState,
      onNetworkAttempt: options.onNetworkAttempt,
      serviceName: 'Outpost Engine',
      title: 'The engine',
      onStarted: () => {
        this.#control = controlClient(this.process.controlPort(), engineControlContract);
        options.onStarted();
        void this.load();
      },
    });
  }

  /** Loads the model of the settings. How it goes is the engine's status, which the window follows itself. */
  async load(): Promise<void> {
    const { modelPath, nThreads, nCtx } = this.#options.settings();
    const model =
      modelPath === null ? { modelPath: defaultModelPath(), name: defaultModelName } : { modelPath, name: null };
    try {
      await this.#control?.load({ ...model, nThreads, nCtx });
    } catch (error) {
      // The process died; the next one loads again.
      if (!isAbort(error)) throw error;
    }
  }
}
