// Search in all files: one search runs at a time; a change of the question starts a new one after a pause in typing.
import { createStore, type StoreApi } from 'zustand/vanilla';
import type { WorkspaceApi } from '../../../electron/common/api.ts';
import { isAbort, toErrorInfo } from '../../../electron/common/error-info.ts';
import type { ErrorInfo } from '../../../electron/common/errors.ts';
import type { FileMatches, SearchMatch } from '../../../electron/common/search-contract.ts';

/** What the user typed and chose. */
export interface SearchForm {
  pattern: string;
  isRegex: boolean;
  isCaseSensitive: boolean;
  isWholeWord: boolean;
  /** Globs, separated by commas. */
  include: string;
  exclude: string;
  withIgnored: boolean;
  replacement: string;
  isReplaceShown: boolean;
}

export interface SearchState {
  form: SearchForm;
  status: 'idle' | 'running' | 'done' | 'failed';
  files: readonly FileMatches[];
  isTruncated: boolean;
  error: ErrorInfo | null;
  /** Files whose matches are folded away. */
  collapsed: ReadonlySet<string>;
}

const kForm: SearchForm = {
  pattern: '',
  isRegex: false,
  isCaseSensitive: false,
  isWholeWord: false,
  include: '',
  exclude: '',
  withIgnored: false,
  replacement: '',
  isReplaceShown: false,
};
const kNothing = {
  status: 'idle',
  files: [],
  isTruncated: false,
  error: null,
  collapsed: new Set<string>(),
} satisfies Partial<SearchState>;

/** Long enough that a word is typed without a search per letter. */
const kDelayMs = 150;
/** Often enough to see that something goes on. */
const kShowEveryMs = 200;

export class SearchStore {
  readonly store: StoreApi<SearchState> = createStore<SearchState>(() => ({ form: kForm, ...kNothing }));
  readonly #workspace: WorkspaceApi;
  readonly #isKeyWaiting: () => boolean;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #abort: AbortController | null = null;

  /** @param isKeyWaiting whether somebody typed what the window has not taken yet: results can wait */
  constructor(workspace: WorkspaceApi, isKeyWaiting: () => boolean = isInputPending) {
    this.#workspace = workspace;
    this.#isKeyWaiting = isKeyWaiting;
  }

  change(patch: Partial<SearchForm>): void {
    this.store.setState(({ form }) => ({ form: { ...form, ...patch } }));
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.run(), kDelayMs);
  }

  /** Searches now, with what the form says. Resolves when it ended in any way. */
  async run(): Promise<void> {
    clearTimeout(this.#timer);
    this.#abort?.abort();
    this.#abort = null;
    const { form } = this.store.getState();
    if (form.pattern === '') {
      this.store.setState(kNothing);
      return;
    }
    const abort = new AbortController();
    this.#abort = abort;
    this.store.setState({ status: 'running', error: null });
    const files: FileMatches[] = [];
    let shownMs = Number.NEGATIVE_INFINITY;
    try {
      for await (const event of await this.#workspace.search(toQuery(form), { signal: abort.signal })) {
        if (abort.signal.aborted) return;
        if (event.type === 'files') {
          for (const file of event.files) files.push(file);
          // Thousands of files come in hundreds of events: to draw each would stop the keys.
          if (performance.now() - shownMs < kShowEveryMs || this.#isKeyWaiting()) continue;
          shownMs = performance.now();
          this.store.setState({ files: [...files] });
        } else this.store.setState({ files, status: 'done', isTruncated: event.isTruncated });
      }
    } catch (error) {
      if (abort.signal.aborted || isAbort(error)) return;
      this.store.setState({ files: [], status: 'failed', error: toErrorInfo(error) });
    }
  }

  /** Ends the search; what was found so far stays. */
  stop(): void {
    clearTimeout(this.#timer);
    if (this.store.getState().status !== 'running') return;
    this.#abort?.abort();
    this.store.setState({ status: 'done', isTruncated: true });
  }

  /** Another folder was opened. */
  clear(): void {
    this.stop();
    this.store.setState(kNothing);
  }

  toggleFile(path: string): void {
    this.store.setState(({ collapsed: before }) => {
      const collapsed = new Set(before);
      if (!collapsed.delete(path)) collapsed.add(path);
      return { collapsed };
    });
  }

  /** Takes a file, or one match of it, off the list: it is not replaced then. */
  dismiss(path: string, match?: SearchMatch): void {
    this.store.setState(({ files }) => ({
      files: files.flatMap((file) => {
        if (file.path !== path) return file;
        const matches = match ? file.matches.filter((kept) => kept !== match) : [];
        return matches.length > 0 ? { ...file, matches } : [];
      }),
    }));
  }
}

/** Chromium knows; elsewhere nothing is known to wait. */
function isInputPending(): boolean {
  const { scheduling } = navigator as { scheduling?: { isInputPending(): boolean } };
  return scheduling?.isInputPending() ?? false;
}

export function toQuery({ include, exclude, isReplaceShown, replacement, ...form }: SearchForm) {
  const globs = (text: string) =>
    text
      .split(',')
      .map((glob) => glob.trim())
      .filter((glob) => glob !== '');
  return {
    ...form,
    include: globs(include),
    exclude: globs(exclude),
    replacement: isReplaceShown ? replacement : null,
  };
}

export function countMatches(files: readonly FileMatches[]): number {
  return files.reduce((sum, { matches }) => sum + matches.length, 0);
}
