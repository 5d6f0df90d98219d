// Git's machine format of a status (porcelain version 2, with NUL) turned into ours.
import type { GitChange, GitFile } from '../../common/git-contract.ts';

export interface ParsedStatus {
  branch: string | null;
  hasCommit: boolean;
  ahead: number;
  behind: number;
  files: GitFile[];
  /** Those of `files` that are repositories of their own. */
  submodules: string[];
  /** By the path of a file that was renamed in what is staged, the path that it had; both below the open folder. */
  formerNames: Map<string, string>;
}

const changes: Readonly<Record<string, GitChange>> = {
  A: 'added',
  M: 'modified',
  T: 'modified',
  D: 'deleted',
  R: 'renamed',
  C: 'added',
};

/** @param prefix of the open folder in the repository, with "/" at its end; paths outside of it are left out */
export function parseStatus(output: string, prefix: string): ParsedStatus {
  const status: ParsedStatus = {
    branch: null,
    hasCommit: false,
    ahead: 0,
    behind: 0,
    files: [],
    submodules: [],
    formerNames: new Map(),
  };
  const records = output.split('\0');
  const add = (path: string, staged: GitChange | null, unstaged: GitChange | null, submodule = 'N...') => {
    if (!path.startsWith(prefix) || path.length === prefix.length) return;
    // Another repository that is no part of this one comes with "/" at its end.
    const own = path.slice(prefix.length).replace(/\/$/, '');
    status.files.push({ path: own, staged, unstaged });
    if (submodule.startsWith('S')) status.submodules.push(own);
  };
  for (let i = 0; i < records.length; i++) {
    const record = records[i] ?? '';
    const [kind, state = '..', submodule] = record.split(' ', 3);
    const both = [changes[state[0] ?? ''] ?? null, changes[state[1] ?? ''] ?? null] as const;
    if (kind === '#') readHeader(record, status);
    else if (kind === '1') add(after(record, 8), ...both, submodule);
    else if (kind === '2') {
      const [path, former = ''] = [after(record, 9), records[++i]];
      add(path, ...both, submodule);
      if (both[0] === 'renamed' && path.startsWith(prefix) && former.startsWith(prefix))
        status.formerNames.set(path.slice(prefix.length), former.slice(prefix.length));
    } else if (kind === 'u') add(after(record, 10), null, 'conflicted', submodule);
    else if (kind === '?') add(after(record, 1), null, 'untracked');
  }
  return status;
}

function readHeader(record: string, status: ParsedStatus): void {
  const [, name, ...rest] = record.split(' ');
  const value = rest.join(' ');
  if (name === 'branch.oid') status.hasCommit = value !== '(initial)';
  else if (name === 'branch.head') status.branch = value === '(detached)' ? null : value;
  else if (name === 'branch.ab') {
    const [, ahead = 0, behind = 0] = /^\+(\d+) -(\d+)$/.exec(value)?.map(Number) ?? [];
    Object.assign(status, { ahead, behind });
  }
}

/** What follows the first `n` fields: a path may hold spaces. */
function after(record: string, n: number): string {
  let at = 0;
  for (let i = 0; i < n; i++) at = record.indexOf(' ', at) + 1;
  return record.slice(at);
}
