// A repository in memory: files with their changes, commits of what is staged.
import type { WorkspaceApi } from '../../electron/common/api.ts';
import type { GitFile } from '../../electron/common/git-contract.ts';
import { appError } from './app-error.ts';

export class FakeGit {
  files: GitFile[];
  /** A status tells no more of them. */
  mostFiles = 5000;
  branch = 'main';
  programs: string[] = [];
  readonly commits: { message: string; paths: string[] }[] = [];
  /** Whether programs were allowed to run, call by call. */
  readonly allowed: boolean[] = [];
  /** Every change fails with it. */
  failure: string | null = null;

  constructor(files: GitFile[]) {
    this.files = files;
  }

  readonly api: WorkspaceApi['git'] = {
    status: async () => ({
      state: 'repository',
      branch: this.branch,
      hasCommit: true,
      ahead: 0,
      behind: 0,
      files: this.files.slice(0, this.mostFiles),
      isTruncated: this.files.length > this.mostFiles,
      programs: this.programs,
    }),
    stage: async ({ paths, mayRunPrograms }) =>
      this.#change(mayRunPrograms, () => {
        this.files = this.files.map((file) =>
          (paths?.includes(file.path) ?? true)
            ? { ...file, staged: file.unstaged ?? file.staged, unstaged: null }
            : file,
        );
      }),
    unstage: async ({ paths, mayRunPrograms }) =>
      this.#change(mayRunPrograms, () => {
        this.files = this.files.map((file) =>
          paths.includes(file.path) ? { ...file, unstaged: file.staged ?? file.unstaged, staged: null } : file,
        );
      }),
    discard: async ({ paths, mayRunPrograms }) =>
      this.#change(mayRunPrograms, () => {
        this.files = this.files.filter(({ path }) => !paths.includes(path));
      }),
    commit: async ({ message, mayRunPrograms }) =>
      this.#change(mayRunPrograms, () => {
        const staged = this.files.filter((file) => file.staged !== null);
        this.commits.push({ message, paths: staged.map(({ path }) => path) });
        this.files = this.files.filter((file) => file.staged === null);
      }),
    branches: async () => ['main', 'topic'],
    switchBranch: async ({ name, mayRunPrograms }) =>
      this.#change(mayRunPrograms, () => {
        this.branch = name;
      }),
    headText: async () => ({ text: '' }),
  };

  #change(isAllowed: boolean, change: () => void): Record<string, never> {
    this.allowed.push(isAllowed);
    if (this.failure !== null) throw appError('GIT_FAILED', this.failure);
    change();
    return {};
  }
}
