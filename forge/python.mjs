// The Python that has PyTorch: Debian's python3-torch, or that of the environment this runs in.
import { capture, isInstalled, SetupError } from '../scripts/lib/process.mjs';

/** @returns {Promise<string>} a program */
export async function findPython() {
  for (const program of ['python3', '/usr/bin/python3']) {
    if (!(await isInstalled(program))) continue;
    const output = await capture(program, ['-c', 'import torch']).catch(() => null);
    if (output !== null) return program;
  }
  throw new SetupError(
    'There is no Python 3 with PyTorch.',
    'On Debian: apt-get install python3-torch libopenblas0-pthread',
  );
}
