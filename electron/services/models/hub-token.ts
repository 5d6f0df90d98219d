// The access token for gated models: encrypted by the system's keychain. Where the system has none, it is kept for this
// run of the app only, never in the clear.
import { readFileSync, rmSync, writeFileSync } from 'node:fs';

/** Electron's `safeStorage`, as far as it is used here. */
interface Keychain {
  isEncryptionAvailable(): boolean;
  getSelectedStorageBackend?(): string;
  encryptString(text: string): Buffer;
  decryptString(encrypted: Buffer): string;
}

export class HubToken {
  readonly #path: string;
  readonly #keychain: Keychain;
  #token: string | null = null;

  constructor(path: string, keychain: Keychain) {
    this.#path = path;
    this.#keychain = keychain;
    try {
      if (this.#isSafe) this.#token = keychain.decryptString(readFileSync(path));
    } catch {} // there is none, or the keychain is another one now: the user is asked again
  }

  get current(): string | null {
    return this.#token;
  }

  set(token: string | null): void {
    this.#token = token;
    if (token === null) rmSync(this.#path, { force: true });
    else if (this.#isSafe) writeFileSync(this.#path, this.#keychain.encryptString(token), { mode: 0o600 });
  }

  /** On Linux without a secret service Electron falls back to a key that is in its source. */
  get #isSafe(): boolean {
    return this.#keychain.isEncryptionAvailable() && this.#keychain.getSelectedStorageBackend?.() !== 'basic_text';
  }
}
