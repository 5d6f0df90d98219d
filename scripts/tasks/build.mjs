// Everything that `npm start` and `npm test` have in common.
import { buildApp } from '../lib/app-build.mjs';
import { ensureDefaultModel } from '../lib/default-model.mjs';
import { ensureDependencies, ensureElectron } from '../lib/dependencies.mjs';
import { hasDisplay } from '../lib/display.mjs';
import { buildNative } from '../lib/native-build.mjs';
import { ensureSystemPackages } from '../lib/system-packages.mjs';

/** @returns {Promise<{ electron: Awaited<ReturnType<typeof ensureElectron>>, native: string, model: string }>} */
export async function prepare({ withTests = false } = {}) {
  await ensureSystemPackages([
    'build',
    'electron',
    ...(hasDisplay() ? [] : /** @type {const} */ (['display'])),
    ...(withTests ? /** @type {const} */ (['test', 'display']) : []),
  ]);
  await ensureDependencies();
  const electron = await ensureElectron();
  const native = await buildNative('release', { withTests });
  const model = await ensureDefaultModel();
  await buildApp(native);
  return { electron, native, model };
}

export async function build() {
  await prepare();
}
