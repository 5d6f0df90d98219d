// A module that is loaded when it is first needed, or before, when there is time for it.

export class Later<T> {
  readonly #load: () => Promise<T>;
  #promise: Promise<T> | null = null;
  #loaded: T | null = null;

  constructor(load: () => Promise<T>) {
    this.#load = load;
  }

  /** What was loaded; null as long as nothing was. */
  get loaded(): T | null {
    return this.#loaded;
  }

  /** Once for all who ask; anew after a failure. */
  load(): Promise<T> {
    this.#promise ??= this.#load().then(
      (loaded) => {
        this.#loaded = loaded;
        return loaded;
      },
      (error: unknown) => {
        this.#promise = null;
        throw error;
      },
    );
    return this.#promise;
  }
}
