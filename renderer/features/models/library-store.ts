// Models as the window shows them: the library and its downloads from main, what is in memory from the engine, and what
// the user is looking at.
import { createStore, type StoreApi } from 'zustand/vanilla';
import type { AppApi, EngineApi } from '../../../electron/common/api.ts';
import { isAbort, toErrorInfo } from '../../../electron/common/error-info.ts';
import type { ErrorInfo } from '../../../electron/common/errors.ts';
import type {
  FoundModel,
  HubFile,
  HubModel,
  ModelEntry,
  ModelsState,
} from '../../../electron/common/model-contract.ts';
import type { ModelFacts } from '../../../electron/common/model-facts.ts';
import type { LoadedModel, ModelRole } from '../../../electron/common/role-contract.ts';
import { follow } from '../../lib/follow.ts';
import { formatBytes } from '../../lib/format.ts';

export type HubState =
  | { step: 'idle' }
  | { step: 'searching' }
  | { step: 'found'; models: HubModel[] }
  | { step: 'failed'; error: ErrorInfo };

export type FilesState =
  | { step: 'loading' }
  | { step: 'listed'; files: HubFile[] }
  | { step: 'failed'; error: ErrorInfo };

export type RemoteFacts =
  | { step: 'reading' }
  | { step: 'read'; facts: ModelFacts }
  | { step: 'failed'; error: ErrorInfo };

export interface LibraryState {
  /** Null until main said something. */
  library: ModelsState | null;
  loaded: readonly LoadedModel[];
  view: 'library' | 'find';
  selectedId: string | null;
  query: string;
  hub: HubState;
  repo: string | null;
  files: FilesState | null;
  /** By path in the repository that is shown. */
  facts: Readonly<Record<string, RemoteFacts>>;
  /** What a scan found; null while none was made. */
  found: readonly FoundModel[] | null;
  /** The field for the access token is open. */
  isTokenShown: boolean;
  /** How fast this machine is with some types of weights is being measured. */
  isMeasuring: boolean;
}

export interface LibraryDeps {
  app: AppApi['models'];
  engine: EngineApi;
  onError: (error: ErrorInfo) => void;
  onNote: (text: string) => void;
}

/** What of models is on GPUs: another text, and they have other bytes free. */
const gpuShares = (loaded: readonly LoadedModel[]) =>
  loaded
    .flatMap(({ id, shares }) =>
      shares.map(({ device, nLayer }) => (device === 'cpu' ? '' : `${id} ${device} ${nLayer}`)),
    )
    .join();

export class LibraryStore {
  readonly store: StoreApi<LibraryState>;
  readonly #deps: LibraryDeps;
  #searching: AbortController | null = null;

  constructor(deps: LibraryDeps) {
    this.#deps = deps;
    this.store = createStore<LibraryState>(() => ({
      library: null,
      loaded: [],
      view: 'library',
      selectedId: null,
      query: '',
      hub: { step: 'idle' },
      repo: null,
      files: null,
      facts: {},
      found: null,
      isTokenShown: false,
      isMeasuring: false,
    }));
  }

  /** Until `signal` aborts. */
  follow(signal: AbortSignal): void {
    const { app, engine, onNote } = this.#deps;
    void follow(
      (options) => app.watch(undefined, options),
      (library) => {
        const hereOf = (state: ModelsState | null) => state?.models.map(({ id, state }) => `${id} ${state}`).join();
        const isOther = hereOf(library) !== hereOf(this.store.getState().library);
        this.store.setState({ library });
        if (isOther) void this.#listFiles(); // one of them may be here now
      },
      signal,
    );
    /** Null: not since the engine started. Before it did nobody could say which GPUs there are. */
    let shown: string | null = null;
    void follow(
      (options) => engine.events(undefined, options),
      (event) => {
        if (event.type === 'notice') return onNote(event.message);
        this.store.setState({ loaded: event.models });
        const shares = gpuShares(event.models);
        if (shares === shown) return;
        shown = shares;
        this.lookAtGpus();
      },
      signal,
      {
        onDown: () => {
          shown = null;
          this.store.setState({ loaded: [] });
        },
      },
    );
  }

  /** What they have free and what their sensors say comes with the next state of the library. */
  lookAtGpus(): void {
    this.#deps.app.lookAtGpus().catch(() => {}); // an engine that starts again has none for a moment
  }

  get selected(): ModelEntry | null {
    const { library, selectedId } = this.store.getState();
    const chat = library?.roles.chat;
    const id = selectedId ?? chat;
    return library?.models.find((model) => model.id === id) ?? library?.models[0] ?? null;
  }

  /** The library's model of a role, with its own settings. */
  modelOf(role: ModelRole): ModelEntry | null {
    const { library } = this.store.getState();
    return library?.models.find(({ id }) => id === library.roles[role]) ?? null;
  }

  show(view: LibraryState['view'], selectedId?: string): void {
    this.store.setState({ view, ...(selectedId === undefined ? {} : { selectedId }) });
  }

  /** On a server, nothing to look for brings back what is recommended; of a folder it shows everything. */
  async search(query: string): Promise<void> {
    this.#searching?.abort();
    if (query === '' && /^https?:/.test(this.store.getState().library?.hub.url ?? '')) {
      this.store.setState({ query, hub: { step: 'idle' }, repo: null, files: null, facts: {} });
      return;
    }
    const searching = new AbortController();
    this.#searching = searching;
    this.store.setState({ query, hub: { step: 'searching' }, repo: null, files: null, facts: {} });
    try {
      const models = await this.#deps.app.search({ text: query }, { signal: searching.signal });
      if (this.#searching === searching) this.store.setState({ hub: { step: 'found', models } });
    } catch (error) {
      if (this.#searching !== searching || isAbort(error)) return;
      this.store.setState({ hub: { step: 'failed', error: toErrorInfo(error) } });
    }
  }

  async openRepo(repo: string | null): Promise<void> {
    this.store.setState({ repo, files: repo === null ? null : { step: 'loading' }, facts: {} });
    await this.#listFiles();
  }

  /** Those of the repository that is shown. A list that is there stays until there is a newer one. */
  async #listFiles(): Promise<void> {
    const { repo } = this.store.getState();
    if (repo === null) return;
    const set = (files: FilesState) => {
      if (this.store.getState().repo === repo) this.store.setState({ files });
    };
    try {
      set({ step: 'listed', files: await this.#deps.app.files({ repo }) });
    } catch (error) {
      if (this.store.getState().files?.step !== 'listed') set({ step: 'failed', error: toErrorInfo(error) });
    }
  }

  /** What a file of the repository would need, from its head. */
  async readFacts(path: string): Promise<void> {
    const { repo, facts } = this.store.getState();
    if (repo === null || facts[path]?.step === 'reading' || facts[path]?.step === 'read') return;
    const set = (found: RemoteFacts) => {
      if (this.store.getState().repo !== repo) return;
      this.store.setState((state) => ({ facts: { ...state.facts, [path]: found } }));
    };
    set({ step: 'reading' });
    try {
      set({ step: 'read', facts: await this.#deps.app.remoteFacts({ repo, path }) });
    } catch (error) {
      set({ step: 'failed', error: toErrorInfo(error) });
    }
  }

  /** So that an expected speed is no guess. @returns whether the engine is busy, and measures another time */
  async measureSpeeds(types: readonly string[], device: string): Promise<boolean> {
    if (this.store.getState().isMeasuring) return true;
    this.store.setState({ isMeasuring: true });
    try {
      await this.#deps.app.measureSpeeds({ types: [...types], device });
    } catch (error) {
      const info = toErrorInfo(error);
      if (info.code === 'ENGINE_NOT_READY') return true;
      if (!isAbort(error)) this.#deps.onError(info);
    } finally {
      this.store.setState({ isMeasuring: false });
    }
    return false;
  }

  async download(path: string): Promise<void> {
    const { repo } = this.store.getState();
    if (repo !== null) await this.run(() => this.#deps.app.download({ repo, path }));
  }

  async importDropped(paths: readonly string[]): Promise<void> {
    const models = paths.filter((path) => /\.gguf$/i.test(path));
    if (models.length === 0) {
      const message = 'What was dropped is no model file.';
      this.#deps.onError({ code: 'MODEL_INVALID', message, hint: 'Models are files that end in .gguf.' });
      return;
    }
    await this.#added(() => this.#deps.app.import({ paths: models }));
  }

  chooseFiles(): Promise<void> {
    return this.#added(() => this.#deps.app.chooseImport());
  }

  async add(found: readonly FoundModel[]): Promise<void> {
    await this.#added(() => this.#deps.app.import({ paths: found.map(({ path }) => path) }));
    const paths = new Set(found.map(({ path }) => path));
    this.store.setState((state) => ({ found: state.found?.filter(({ path }) => !paths.has(path)) ?? null }));
  }

  async scan(where: 'folder' | 'others'): Promise<void> {
    await this.run(async () => {
      const { scanFolder, scanOthers } = this.#deps.app;
      const found = await (where === 'folder' ? scanFolder() : scanOthers());
      if (found !== null) this.store.setState({ found });
    });
  }

  /** Where a model is only for those who accepted its terms, a token says who asks. */
  showToken(isTokenShown: boolean): void {
    this.store.setState({ isTokenShown, ...(isTokenShown ? { view: 'find' } : {}) });
  }

  closeScan(): void {
    this.store.setState({ found: null });
  }

  async remove(id: string, name: string): Promise<void> {
    await this.run(async () => {
      const { freedBytes } = await this.#deps.app.remove({ id });
      this.store.setState({ selectedId: null });
      this.#deps.onNote(
        freedBytes > 0
          ? `“${name}” was deleted; ${formatBytes(freedBytes)} are free again.`
          : `“${name}” was taken out of the list. Its file is where it was.`,
      );
    });
  }

  setRole(role: ModelRole, id: string | null | undefined, isEverywhere: boolean): Promise<void> {
    return this.run(() => this.#deps.app.setRole({ role, ...(id === undefined ? {} : { id }), isEverywhere }));
  }

  /** What is found to be damaged is said by the model itself. */
  async verify(id: string): Promise<void> {
    try {
      await this.#deps.app.verify({ id });
    } catch (error) {
      const info = toErrorInfo(error);
      if (!isAbort(error) && info.code !== 'DOWNLOAD_MISMATCH') this.#deps.onError(info);
    }
  }

  /** For everything that is one call: its failure is shown. */
  async run(call: (app: AppApi['models'], engine: EngineApi) => Promise<unknown>): Promise<void> {
    try {
      await call(this.#deps.app, this.#deps.engine);
    } catch (error) {
      if (!isAbort(error)) this.#deps.onError(toErrorInfo(error));
    }
  }

  async #added(add: () => Promise<ModelEntry[] | null>): Promise<void> {
    await this.run(async () => {
      const [first] = (await add()) ?? [];
      if (first) this.store.setState({ view: 'library', selectedId: first.id });
    });
  }
}
