// Running other programs: output as it comes, errors as one sentence.
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** The repository's root. */
export const root = fileURLToPath(new URL('../../', import.meta.url));

/** A failure to show to the user as it is, without a stack trace. */
export class SetupError extends Error {
  /**
   * @param {string} message what failed
   * @param {string} [hint] what the user can do
   */
  constructor(message, hint) {
    super(hint === undefined ? message : `${message}\n  ${hint}`);
  }
}

/**
 * Runs a program with its output on the terminal.
 * @param {string} command
 * @param {string[]} args
 * @param {{ cwd?: string, env?: NodeJS.ProcessEnv, quiet?: boolean, onOutput?: (text: string) => void }} [options]
 *   quiet: output only if it fails; onOutput: hears of it all the same, as it comes
 */
export async function run(command, args, { cwd = root, env = process.env, quiet = false, onOutput } = {}) {
  const { code, output, errors } = await spawnProgram(command, args, { cwd, env, capture: quiet, onOutput });
  if (code === 0) return;
  throw new SetupError(
    `${[command, ...args].join(' ')} failed (${describeCode(code)}).${quiet ? `\n${output}${errors}` : ''}`,
  );
}

/**
 * Runs a program and returns what it printed on stdout.
 * @param {string} command
 * @param {string[]} args
 * @param {{ cwd?: string, env?: NodeJS.ProcessEnv, input?: string, signal?: AbortSignal, onStart?: (pid: number) => void }} [options]
 *   signal: kills the program, which then counts as failed
 */
export async function capture(command, args, { cwd = root, env = process.env, ...options } = {}) {
  const { code, output, errors } = await spawnProgram(command, args, { cwd, env, capture: true, ...options });
  if (code !== 0)
    throw new SetupError(`${[command, ...args].join(' ')} failed (${describeCode(code)}).\n${output}${errors}`);
  return output;
}

/**
 * Runs a program that may fail, with its output on the terminal.
 * @param {string} command
 * @param {string[]} args
 * @param {NodeJS.ProcessEnv} [env]
 * @returns {Promise<boolean>} whether it succeeded
 */
export async function succeeds(command, args, env = process.env) {
  return (await spawnProgram(command, args, { cwd: root, env, capture: false })).code === 0;
}

/** @param {string} command a program looked for on PATH */
export async function isInstalled(command) {
  const finder = process.platform === 'win32' ? 'where' : 'which';
  return (await spawnProgram(finder, [command], { cwd: root, env: process.env, capture: true })).code === 0;
}

/** @param {number | NodeJS.Signals | 'missing'} code */
function describeCode(code) {
  if (code === 'missing') return 'it is not installed';
  return typeof code === 'number' ? `exit code ${code}` : `signal ${code}`;
}

/**
 * @param {string} command
 * @param {string[]} args
 * @param {{ cwd: string, env: NodeJS.ProcessEnv, capture: boolean, input?: string, signal?: AbortSignal,
 *   onStart?: (pid: number) => void, onOutput?: ((text: string) => void) | undefined }} options
 * @returns {Promise<{ code: number | NodeJS.Signals | 'missing', output: string, errors: string }>}
 */
function spawnProgram(command, args, { cwd, env, capture: isCaptured, input, signal, onStart, onOutput }) {
  return new Promise((resolve) => {
    const out = isCaptured ? 'pipe' : 'inherit';
    const stdin = input === undefined ? 'ignore' : 'pipe';
    const child = spawn(command, args, { cwd, env, stdio: [stdin, out, out], ...(signal && { signal }) });
    if (child.pid !== undefined) onStart?.(child.pid);
    let output = '';
    let errors = '';
    child.stdout?.setEncoding('utf8').on('data', (text) => {
      output += text;
      onOutput?.(text);
    });
    child.stderr?.setEncoding('utf8').on('data', (text) => {
      errors += text;
    });
    child.stdin?.on('error', () => {}); // the program ended before it read everything; its exit code tells
    child.stdin?.end(input);
    child.on('error', () => resolve({ code: 'missing', output, errors }));
    child.on('close', (code, killedBy) => resolve({ code: code ?? killedBy ?? 1, output, errors }));
  });
}
