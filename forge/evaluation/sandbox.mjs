// Whether a Python program that a model had a hand in passes its tests: in a process of its own, within limits.
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { root, SetupError } from '../../scripts/lib/process.mjs';

/** Of wall time: the limit on computing, in sandbox.py, is shorter, but says nothing of a program that waits. */
const timeoutMs = 30_000;

/** A new user and network namespace: nothing of a network but a loopback that is down. */
const withoutNetwork = ['unshare', '--user', '--map-root-user', '--net', '--'];

/**
 * How programs are started here.
 * @param {string} [python]
 * @returns {Promise<{ command: string[], hasNetwork: boolean }>}
 */
export async function findSandbox(python = 'python3') {
  const command = [python, '-I', '-S', join(root, 'forge', 'evaluation', 'sandbox.py')];
  if (await passes([...withoutNetwork, ...command], 'pass'))
    return { command: [...withoutNetwork, ...command], hasNetwork: false };
  if (await passes(command, 'pass')) return { command, hasNetwork: true };
  throw new SetupError('Programs cannot be tried: there is no Python 3.', 'Install python3.');
}

/**
 * @param {string[]} command of findSandbox @param {string} program
 * @returns {Promise<boolean>} whether it came to its end without an error; one that ends itself before has not passed
 */
export async function passes([name = '', ...words], program) {
  const cwd = await mkdtemp(join(tmpdir(), 'outpost-candidate-'));
  const nonce = randomUUID();
  try {
    return await new Promise((resolve) => {
      // Its own process group, so that whatever it started ends with it.
      const child = spawn(name, words, {
        cwd,
        env: { PATH: process.env.PATH },
        stdio: ['pipe', 'ignore', 'ignore', 'pipe'],
        detached: true,
      });
      const end = () => {
        try {
          if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
        } catch {
          // It has ended.
        }
      };
      const settle = (/** @type {boolean} */ hasPassed) => {
        clearTimeout(timer);
        end();
        resolve(hasPassed);
      };
      const timer = setTimeout(() => settle(false), timeoutMs);
      let said = '';
      child.stdio[3]?.on('data', (chunk) => {
        said = `${said}${chunk}`.slice(0, nonce.length + 1);
      });
      child.once('error', () => settle(false));
      child.once('exit', end);
      child.once('close', (code) => settle(code === 0 && said === nonce));
      child.stdin?.on('error', () => undefined); // it ended before it read all
      child.stdin?.end(`${nonce}\n${program}`);
    });
  } finally {
    await rm(cwd, { recursive: true, force: true });
  }
}
