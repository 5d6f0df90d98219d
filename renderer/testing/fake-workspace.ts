// A folder in memory that behaves like the workspace process: versions, conflicts, read-only files, a full disk.
import type { WorkspaceApi } from '../../electron/common/api.ts';
import type { AppErrorCode } from '../../electron/common/errors.ts';
import type { FileMatches, SearchEvent, SearchQuery } from '../../electron/common/search-contract.ts';
import type { Entry, WorkspaceEvent, WorkspaceFile } from '../../electron/common/workspace-contract.ts';
import { ancestors, baseName, dirName } from '../lib/paths.ts';
import { appError } from './app-error.ts';
import { EventQueue, toStream } from './event-queue.ts';
import { FakeGit } from './fake-git.ts';

interface FakeFile {
  text: string;
  version: number;
  isReadOnly: boolean;
  readError: AppErrorCode | null;
}

export class FakeWorkspace {
  readonly #files = new Map<string, FakeFile>();
  readonly #directories = new Set<string>();
  readonly #trashed = new Map<string, [string, FakeFile][]>();
  readonly events = new EventQueue<WorkspaceEvent>();
  readonly git = new FakeGit([]);
  /** Every write fails with this code while it is set. */
  writeError: AppErrorCode | null = null;

  constructor(files: Readonly<Record<string, string>>) {
    for (const [path, text] of Object.entries(files)) this.put(path, text);
  }

  /** Writes as another program would, and says so. */
  put(path: string, text: string, options: Partial<FakeFile> = {}): void {
    const version = (this.#files.get(path)?.version ?? 0) + 1;
    this.#files.set(path, { text, version, isReadOnly: false, readError: null, ...options });
    for (const directory of ancestors(path)) this.#directories.add(directory);
    this.events.push({ type: 'changed', directories: [dirName(path)], files: [path] });
  }

  remove(path: string): void {
    this.#files.delete(path);
    this.events.push({ type: 'changed', directories: [dirName(path)], files: [path] });
  }

  textOf(path: string): string | undefined {
    return this.#files.get(path)?.text;
  }

  readonly api: WorkspaceApi = {
    list: async ({ path }) => this.#list(path),
    read: async ({ path }) => this.#read(path),
    write: async ({ path, text, version, overwrite = false }) => {
      if (this.writeError)
        throw appError(this.writeError, `${path} could not be saved.`, 'Free some space and try again.');
      const existing = this.#files.get(path);
      if (existing?.isReadOnly) throw appError('FILE_READ_ONLY', `${path} is read-only.`);
      if (existing && !overwrite && version === null) throw appError('FILE_EXISTS', `${path} exists already.`);
      if (existing && !overwrite && String(existing.version) !== version) {
        throw appError('FILE_CHANGED_ON_DISK', `${path} changed on disk since it was opened.`);
      }
      this.put(path, text);
      return { version: String(this.#files.get(path)?.version) };
    },
    createDirectory: async ({ path }) => {
      if (this.#directories.has(path)) throw appError('FILE_EXISTS', `${path} exists already.`);
      this.#directories.add(path);
      return {};
    },
    rename: async ({ from, to }) => {
      if (this.#files.has(to)) throw appError('FILE_EXISTS', `${to} exists already.`);
      for (const [path, file] of [...this.#files]) {
        if (path !== from && !path.startsWith(`${from}/`)) continue;
        this.#files.delete(path);
        this.#files.set(to + path.slice(from.length), file);
      }
      if (this.#directories.delete(from)) this.#directories.add(to);
      return {};
    },
    findFiles: async ({ limit, below = '' }) => {
      const found = [...this.#files.keys()].filter((path) => below === '' || path.startsWith(`${below}/`));
      return { paths: found.slice(0, limit), truncated: found.length > limit };
    },
    similar: async () => ({ part: null }),
    search: async (query) => toStream(this.#search(query)),
    trash: async ({ path }) => {
      const taken = [...this.#files].filter(([file]) => file === path || file.startsWith(`${path}/`));
      if (taken.length === 0 && !this.#directories.has(path))
        throw appError('FILE_NOT_FOUND', `${path} does not exist.`);
      for (const [file] of taken) this.#files.delete(file);
      this.#directories.delete(path);
      this.#trashed.set(path, taken);
      return { id: path };
    },
    restore: async ({ id }) => {
      const taken = this.#trashed.get(id);
      if (!taken) throw appError('NOT_FOUND', 'This cannot be brought back.');
      for (const [file, content] of taken) this.put(file, content.text);
      this.#trashed.delete(id);
      return { path: id };
    },
    git: this.git.api,
    watch: async (_input, options) => this.events.subscribe(options?.signal),
  };

  /** Literal text only. */
  async *#search({ pattern, replacement }: SearchQuery): AsyncGenerator<SearchEvent, void, void> {
    const files: FileMatches[] = [];
    for (const [path, { text }] of this.#files) {
      const matches = text.split('\n').flatMap((line, i) => {
        const start = line.indexOf(pattern);
        const found = { line: i + 1, start, end: start + pattern.length, text: pattern, replacement };
        return start < 0 ? [] : [{ ...found, preview: line, previewStart: start }];
      });
      if (matches.length > 0) files.push({ path, matches });
    }
    yield { type: 'files', files };
    yield { type: 'done', isTruncated: false };
  }

  #list(path: string): Entry[] {
    if (path !== '' && !this.#directories.has(path)) throw appError('FILE_NOT_FOUND', `${path} does not exist.`);
    const entry = (child: string, kind: Entry['kind']): Entry => {
      const name = baseName(child);
      return { name, path: child, kind, ignored: name === 'node_modules' || name === '.git' || name === 'build' };
    };
    const directories = [...this.#directories]
      .filter((child) => dirName(child) === path)
      .map((child) => entry(child, 'directory'));
    const files = [...this.#files.keys()]
      .filter((child) => dirName(child) === path)
      .map((child) => entry(child, 'file'));
    const byName = (a: Entry, b: Entry) => a.name.localeCompare(b.name, 'en');
    return [...directories.sort(byName), ...files.sort(byName)];
  }

  #read(path: string): WorkspaceFile {
    const file = this.#files.get(path);
    if (!file) throw appError('FILE_NOT_FOUND', `${path} does not exist any more.`);
    if (file.readError)
      throw appError(file.readError, `${path} cannot be opened as text.`, 'It is not UTF-8 or UTF-16.');
    const { text, version, isReadOnly } = file;
    const eol = !text.includes('\n') ? 'none' : !text.includes('\r\n') ? 'lf' : /[^\r]\n/.test(text) ? 'mixed' : 'crlf';
    return { path, text, encoding: 'utf8', eol, isReadOnly, version: String(version) };
  }
}
