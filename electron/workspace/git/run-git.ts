// Runs the system's git so that a repository cannot make it run anything else. A folder that somebody sent may hold a
// .git/config that names programs: for watching files, as hooks, as filters, for signing. Merely looking at its status
// would run some of them.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { devNull } from 'node:os';
import { appError } from '../../common/app-error.ts';

export interface GitResult {
  code: number;
  output: Buffer;
  complaint: string;
}

export interface GitOptions {
  cwd: string;
  /** Values over those of every configuration file, as [key, value]. */
  config?: readonly (readonly [string, string])[];
  input?: string;
  signal?: AbortSignal | undefined;
}

/** Nobody looks through more, and a repository must not fill the memory. */
const mostOutput = 64 * 1024 * 1024;

/** Always: nothing here needs a pager, a background process, the network, or another repository inside of this one. */
const always: readonly (readonly [string, string])[] = [
  ['core.fsmonitor', 'false'],
  ['core.pager', 'cat'],
  ['core.quotePath', 'false'],
  ['gc.auto', '0'],
  ['maintenance.auto', 'false'],
  ['protocol.allow', 'never'],
  ['safe.bareRepository', 'explicit'],
  ['submodule.recurse', 'false'],
];

/** On top of that, unless the user lets the repository's own programs run. `filters` are those it names. */
export function withoutPrograms(filters: readonly string[]): (readonly [string, string])[] {
  return [
    ['core.hooksPath', devNull],
    ['commit.gpgSign', 'false'],
    ...filters.flatMap((name) => [
      [`filter.${name}.clean`, ''] as const,
      [`filter.${name}.smudge`, ''] as const,
      [`filter.${name}.process`, ''] as const,
      [`filter.${name}.required`, 'false'] as const,
    ]),
  ];
}

/** @throws GIT_FAILED if there is no git; any exit code is a result */
export async function runGit(args: readonly string[], options: GitOptions): Promise<GitResult> {
  const { cwd, config = [], input, signal } = options;
  signal?.throwIfAborted();
  const child = spawn('git', ['--no-pager', '--no-optional-locks', '--literal-pathspecs', ...args], {
    cwd,
    env: environment([...always, ...config]),
    stdio: ['pipe', 'pipe', 'pipe'],
    windowsHide: true,
  });
  const stop = () => child.kill();
  signal?.addEventListener('abort', stop);
  const chunks: Buffer[] = [];
  let nBytes = 0;
  let complaint = '';
  child.stdout.on('data', (chunk: Buffer) => {
    nBytes += chunk.length;
    if (nBytes > mostOutput) stop();
    else chunks.push(chunk);
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    if (complaint.length < 20_000) complaint += text;
  });
  child.stdin.on('error', () => {}); // git ended before it read everything, and says why
  child.stdin.end(input ?? '');
  try {
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', resolve);
    });
    signal?.throwIfAborted();
    if (nBytes > mostOutput) throw failed('Git had more to say than can be shown.', '');
    return { code: code ?? -1, output: Buffer.concat(chunks), complaint };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    // The system says the same of a folder to run in that is not there.
    if (!existsSync(cwd)) throw appError('GIT_FAILED', 'The open folder does not exist any more.', {}, error);
    throw appError('GIT_FAILED', 'Git is not installed, or not in the search path.', { hint: 'Install git.' }, error);
  } finally {
    signal?.removeEventListener('abort', stop);
  }
}

/** @throws GIT_FAILED with git's words for any exit code but 0 */
export async function runGitOrThrow(args: readonly string[], options: GitOptions): Promise<string> {
  const { code, output, complaint } = await runGit(args, options);
  if (code !== 0) throw failed(firstSentence(complaint) || `Git ended with code ${code}.`, complaint);
  return output.toString('utf8');
}

function failed(message: string, detail: string) {
  return appError('GIT_FAILED', message, detail.trim() === '' ? {} : { detail: detail.trim() });
}

/** Git's own first line, without the word in front of it. */
function firstSentence(complaint: string): string {
  const line = complaint.trim().split('\n', 1)[0] ?? '';
  const text = line.replace(/^(?:fatal|error|warning): /, '');
  return text === '' ? '' : `Git says: ${text}`;
}

/**
 * Variables that would point git elsewhere are left out. Configuration goes in as variables, because `-c` splits a key at
 * its first "=", which a filter's name may hold.
 */
function environment(config: readonly (readonly [string, string])[]): NodeJS.ProcessEnv {
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(?:GIT_|OUTPOST_|ELECTRON_)/.test(name)),
  );
  const pairs = config.flatMap(([key, value], i) => [
    [`GIT_CONFIG_KEY_${i}`, key],
    [`GIT_CONFIG_VALUE_${i}`, value],
  ]);
  return {
    ...env,
    ...Object.fromEntries(pairs),
    GIT_CONFIG_COUNT: String(config.length),
    GIT_TERMINAL_PROMPT: '0',
    GIT_EDITOR: 'true',
    GIT_SEQUENCE_EDITOR: 'true',
    LC_ALL: 'C.UTF-8',
  };
}
