// `npm run test:forge`: the kit that makes our own models, as a toy on the CPU.
import { join } from 'node:path';
import { findPython } from '../../forge/python.mjs';
import { ensureDependencies } from '../lib/dependencies.mjs';
import { engineProgram } from '../lib/engine-cli.mjs';
import { buildNative } from '../lib/native-build.mjs';
import { ensurePeer } from '../lib/peer.mjs';
import { root } from '../lib/process.mjs';
import { ensureSystemPackages } from '../lib/system-packages.mjs';
import { finish, runNodeTests } from '../lib/test-results.mjs';

export async function testForge() {
  await ensureSystemPackages(['build', 'test']);
  await ensureDependencies();
  finish(await forgePart());
}

export async function forgePart() {
  await ensureSystemPackages(['forge']);
  const native = await buildNative('release', { withTests: true });
  const env = {
    ...process.env,
    OUTPOST_ENGINE: engineProgram(native),
    OUTPOST_ADDON: join(native, 'outpost_engine.node'),
    OUTPOST_PYTHON: await findPython(),
    OUTPOST_HAS_PEER: (await ensurePeer()) ? '1' : '0',
  };
  return runNodeTests('forge.tap', [join(root, 'forge', 'toy', 'chain.mjs')], env);
}
