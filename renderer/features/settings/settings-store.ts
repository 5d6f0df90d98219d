// The user's settings as the window sees them. Main owns and stores them; a change shows at once and goes back if
// it could not be stored.
import { createStore, type StoreApi } from 'zustand/vanilla';
import type { AppApi } from '../../../electron/common/api.ts';
import { toErrorInfo } from '../../../electron/common/error-info.ts';
import type { ErrorInfo } from '../../../electron/common/errors.ts';
import type { Settings, SettingsPatch } from '../../../electron/common/settings.ts';

export class SettingsStore {
  readonly store: StoreApi<Settings>;
  readonly #api: AppApi['settings'];
  readonly #onError: (error: ErrorInfo) => void;

  constructor(initial: Settings, api: AppApi['settings'], onError: (error: ErrorInfo) => void) {
    this.store = createStore<Settings>(() => initial);
    this.#api = api;
    this.#onError = onError;
  }

  get current(): Settings {
    return this.store.getState();
  }

  async update(patch: SettingsPatch): Promise<void> {
    const before = this.current;
    this.store.setState(patch as Partial<Settings>);
    try {
      this.store.setState(await this.#api.update(patch));
    } catch (error) {
      this.store.setState(before);
      this.#onError(toErrorInfo(error));
    }
  }

  /** Main says that the settings changed. */
  received(settings: Settings): void {
    this.store.setState(settings);
  }
}
