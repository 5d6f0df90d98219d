import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { capture, root } from '../scripts/lib/process.mjs';

const folder = await mkdtemp(join(tmpdir(), 'outpost-gpu-train-test-'));
const state = join(folder, 'state');
const weights = join(state, 'out', 'target.safetensors');
const backs = join(folder, 'back');
// More than a pipe holds, so that tar waits in the middle of it.
const first = 'first'.repeat(100_000);

const script = (/** @type {string[]} */ words, /** @type {Record<string, string>} */ env = {}) =>
  capture('bash', [join(root, 'forge', 'gpu_train.sh'), ...words], {
    env: { ...process.env, FORGE_STATE: state, FORGE_MOST_WAIT: '1', OUT: backs, ...env },
  });

/** @param {string} into @returns {Promise<string>} the weights that came back */
async function weightsBack(into) {
  await rm(backs, { recursive: true, force: true });
  await mkdir(backs);
  await script(['back', '0']);
  await script(['join', backs, join(folder, into)]);
  return readFile(join(folder, into, 'target.safetensors'), 'utf8');
}

/** A training that runs on: a process of its own group, and what it has written so far. */
let trainer = /** @type {import('node:child_process').ChildProcess | undefined} */ (undefined);
beforeAll(async () => {
  await mkdir(join(state, 'out'), { recursive: true });
  await mkdir(join(state, 'data'));
  await writeFile(weights, first);
  await writeFile(join(state, 'out', 'target-loss.csv'), 'step,loss\n');
  await writeFile(join(state, 'log'), 'from step 0\n');
  trainer = spawn('sleep', ['120'], { stdio: 'ignore' });
  await writeFile(join(state, 'pid'), `${trainer.pid}`);
});
afterAll(async () => {
  trainer?.kill('SIGKILL');
  await rm(folder, { recursive: true });
});

it.skipIf(process.platform !== 'linux')(
  'brings nothing back as finished while the training runs, unless told to',
  async () => {
    await expect(script(['finish'])).rejects.toThrow(/still runs/);
    expect(existsSync(join(state, 'back'))).toBe(false);
    await script(['finish', 'now']);
    expect(await weightsBack('now')).toBe(first);
  },
);

it.skipIf(process.platform !== 'linux')(
  'packs whole weights although the trainer replaces them meanwhile',
  async () => {
    // Stands in for the Python that compresses what tar reads: the next checkpoint comes while it does.
    const python = join(folder, 'python');
    const replace = `sleep 0.3; printf second > "${weights}.part"; mv "${weights}.part" "${weights}"`;
    await writeFile(python, `#!/bin/sh\n${replace}\nexec python3 "$@"\n`);
    await chmod(python, 0o755);
    await script(['finish', 'now'], { OUTPOST_PYTHON: python });
    expect(await readFile(weights, 'utf8')).toBe('second');
    expect(await weightsBack('replaced')).toBe(first);
    trainer?.kill('SIGKILL');
    await script(['finish']);
    expect(await weightsBack('last')).toBe('second');
  },
);
