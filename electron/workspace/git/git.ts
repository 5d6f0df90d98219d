// What can be done with the repository that the open folder lies in. Every path is relative to that folder.
import { readdir, realpath } from 'node:fs/promises';
import { resolve } from 'node:path';
import { appError } from '../../common/app-error.ts';
import type { GitStatus } from '../../common/git-contract.ts';
import { isInside, pathSegments } from '../paths.ts';
import { decodeText } from '../text-encoding.ts';
import { type ParsedStatus, parseStatus } from './parse-status.ts';
import { type GitOptions, runGit, runGitOrThrow, withoutPrograms } from './run-git.ts';

/** More changed files than this are a mistake in .gitignore, and no list for people. */
const mostFiles = 5000;

interface Repository {
  /** Where it keeps what is checked out: of a worktree, and seen from a folder inside, not the “.git” of the folder. */
  gitFolder: string;
  /** Of the open folder in it, with "/" at its end, or "". */
  prefix: string;
  filters: string[];
  programs: string[];
}

/** @returns null outside of any repository */
async function repositoryOf(root: string): Promise<Repository | null> {
  const asked = ['--show-toplevel', '--show-prefix', '--git-path', 'hooks', '--absolute-git-dir'];
  const found = await runGit(['rev-parse', ...asked], { cwd: root });
  if (found.code !== 0) {
    if (/not a git repository \(|must be run in a work tree/.test(found.complaint)) return null;
    // Ownership, damage, a “.git” that leads nowhere: git's words say it best.
    await runGitOrThrow(['rev-parse', '--show-toplevel'], { cwd: root });
    return null;
  }
  const [top = '', prefix = '', hooks = '', gitFolder = ''] = found.output.toString('utf8').split('\n');
  // A configuration may name another folder as the work tree.
  if (!isInside(await realpath(top), root)) return null;
  const keys = await localKeys(root);
  const filters = new Set(keys.flatMap((key) => /^filter\.(.+)\.(?:clean|smudge|process)$/s.exec(key)?.[1] ?? []));
  const signs = keys.some((key) => /^gpg\.|^commit\.gpgsign$/i.test(key)) ? ['signing'] : [];
  const hookNames = await hooksIn(resolve(root, hooks));
  const programs = [...hookNames, ...[...filters].map((name) => `filter ${name}`), ...signs];
  return { gitFolder, prefix, filters: [...filters], programs };
}

/** The keys that the repository itself sets, and not the user. Reading them runs nothing. */
async function localKeys(root: string): Promise<string[]> {
  const { output } = await runGit(['config', '--list', '--name-only', '--show-scope', '-z'], { cwd: root });
  const parts = output.toString('utf8').split('\0');
  return parts.filter((_, i) => i % 2 === 1 && /^(?:local|worktree)$/.test(parts[i - 1] ?? ''));
}

async function hooksIn(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch(() => []);
  return names.filter((name) => /^[\w-]+$/.test(name)).sort();
}

/** @param watch gets the folder in which something changes when a terminal, or another program, commits or switches */
export async function gitStatus(
  root: string,
  signal: AbortSignal | undefined,
  watch: (gitFolder: string) => void = () => {},
): Promise<GitStatus> {
  let repository: Repository | null;
  try {
    repository = await repositoryOf(root);
  } catch (error) {
    if (error instanceof Error && /not installed/.test(error.message)) return { state: 'noGit' };
    throw error;
  }
  if (repository === null) return { state: 'noRepository' };
  watch(repository.gitFolder); // before the look: a change between the two is told instead of missed
  const { files, submodules: _own, formerNames: _former, ...head } = await lookAt(root, repository, signal);
  return {
    state: 'repository',
    ...head,
    files: files.slice(0, mostFiles),
    isTruncated: files.length > mostFiles,
    programs: repository.programs,
  };
}

async function lookAt(root: string, { prefix, filters }: Repository, signal?: AbortSignal): Promise<ParsedStatus> {
  const output = await runGitOrThrow(
    ['status', '--porcelain=v2', '-z', '--branch', '--untracked-files=all', '--ignore-submodules=dirty', '--', '.'],
    { cwd: root, config: withoutPrograms(filters), signal },
  );
  return parseStatus(output, prefix);
}

interface Allowed {
  mayRunPrograms: boolean;
}

/** @param paths null stands for everything in the folder */
export async function stage(root: string, paths: readonly string[] | null, allowed: Allowed): Promise<void> {
  if (paths !== null) await onPaths(root, ['add', '--all'], paths, allowed);
  else await runGitOrThrow(['add', '--all', '--', '.'], await gitOptions(root, allowed));
}

export async function unstage(root: string, paths: readonly string[], allowed: Allowed): Promise<void> {
  const hasCommit = (await runGit(['rev-parse', '--verify', '--quiet', 'HEAD'], { cwd: root })).code === 0;
  if (hasCommit) await onPaths(root, ['restore', '--staged'], await withFormerNames(root, paths), allowed);
  else await onPaths(root, ['rm', '--cached', '--quiet', '-r'], paths, allowed);
}

/** Git names a renamed file by its new path alone; the old one would stay staged, as deleted. */
async function withFormerNames(root: string, paths: readonly string[]): Promise<string[]> {
  const repository = await repositoryOf(root);
  if (repository === null) return [...paths];
  const { formerNames } = await lookAt(root, repository);
  return [...paths, ...paths.flatMap((path) => formerNames.get(path) ?? [])];
}

/** Where what is discarded goes, so that nothing is lost for good. */
interface DiscardTrash {
  put(path: string): Promise<string>;
  restore(id: string): Promise<unknown>;
}

/** @throws GIT_FAILED also about files that are left as they are, when the others are discarded */
export async function discard(
  root: string,
  paths: readonly string[],
  allowed: Allowed,
  trash: DiscardTrash,
): Promise<void> {
  const repository = await repositoryOf(root);
  if (repository === null) return;
  const { files, submodules } = await lookAt(root, repository);
  const changes = new Map(files.map(({ path, unstaged }) => [path, unstaged]));
  // Git puts back neither: which side of a conflict is meant, and which commit of another repository?
  const isLeft = (path: string) => changes.get(path) === 'conflicted' || submodules.includes(path);
  const changed = paths.filter((path) => changes.get(path) && !isLeft(path));
  const isTracked = (path: string) => changes.get(path) !== 'untracked';
  const trashed: string[] = [];
  try {
    for (const path of changed) {
      if (changes.get(path) !== 'deleted') trashed.push(await trash.put(path));
    }
    const tracked = changed.filter(isTracked);
    if (tracked.length > 0) await onPaths(root, ['restore', '--worktree'], tracked, allowed);
  } catch (error) {
    // What git put back by then stays, and what was there before stays in the trash.
    for (const id of trashed) await trash.restore(id).catch(() => {});
    throw error;
  }
  const left = paths.find((path) => changes.get(path) && isLeft(path));
  if (left === undefined) return;
  const why = submodules.includes(left) ? 'It is a repository of its own.' : 'Two changes of it are in conflict.';
  throw appError('GIT_FAILED', `${left} was left as it is. ${why}`, { hint: 'Use git in a terminal.' });
}

export async function commit(root: string, message: string, allowed: Allowed): Promise<void> {
  const options = await gitOptions(root, allowed);
  await runGitOrThrow(['commit', '--quiet', '--file=-'], { ...options, input: message });
}

export async function branches(root: string): Promise<string[]> {
  const output = await runGitOrThrow(['for-each-ref', '--format=%(refname:short)', 'refs/heads'], { cwd: root });
  return output.split('\n').filter(Boolean);
}

export async function switchBranch(root: string, name: string, isNew: boolean, allowed: Allowed): Promise<void> {
  // A name that begins with "-" would be an option; git has no such branches.
  await runGitOrThrow(['check-ref-format', '--branch', name], { cwd: root });
  const options = await gitOptions(root, allowed);
  await runGitOrThrow(['switch', '--quiet', '--no-recurse-submodules', ...(isNew ? ['--create'] : []), name], options);
}

/** Without filters and conversions of text: what the commit holds. */
export async function headText(root: string, path: string): Promise<string | null> {
  pathSegments(path);
  const { code, output } = await runGit(['cat-file', 'blob', `HEAD:./${path}`], { cwd: root });
  return code === 0 ? (decodeText(output)?.text ?? null) : null;
}

async function onPaths(root: string, args: string[], paths: readonly string[], allowed: Allowed): Promise<void> {
  for (const path of paths) pathSegments(path);
  const options = await gitOptions(root, allowed);
  const input = paths.join('\0');
  await runGitOrThrow([...args, '--pathspec-from-file=-', '--pathspec-file-nul'], { ...options, input });
}

async function gitOptions(root: string, { mayRunPrograms }: Allowed): Promise<GitOptions> {
  const repository = mayRunPrograms ? null : await repositoryOf(root);
  return { cwd: root, config: mayRunPrograms ? [] : withoutPrograms(repository?.filters ?? []) };
}
