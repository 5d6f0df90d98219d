// The app's bundles in build/app/: one file per process, the renderer, and the addon beside them.
import { copyFile, cp, mkdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { root } from './process.mjs';
import { hashOf, stampedStep } from './steps.mjs';

const output = join(root, 'build', 'app');
/** The catalog of models is in a bundle, too. */
const inputs = [
  'electron',
  'renderer',
  'resources/models.json',
  'vite.config.ts',
  'package-lock.json',
  'native',
  'kernels',
];

/**
 * Entry, output and format of each process that is not the renderer. A sandboxed preload must be CommonJS. What an entry
 * imports later is a file of its own.
 */
const processes = /** @type {const} */ ([
  ['electron/main.ts', 'main.js', 'esm'],
  ['electron/engine/host.ts', 'engine-host.js', 'esm'],
  ['electron/workspace/host.ts', 'workspace-host.js', 'esm'],
  ['electron/terminal/host.ts', 'terminal-host.js', 'esm'],
  ['electron/preload/preload.ts', 'preload.cjs', 'cjs'],
]);

/** The page of scripted scenes (renderer/testing) for stories, in build/testing-page/. */
export async function buildTestingPage() {
  const [inputs, outDir] = [
    ['electron/common', 'renderer', 'vite.config.ts', 'package-lock.json'],
    'build/testing-page',
  ];
  await stampedStep(
    'testing-page',
    'page of scripted scenes',
    () => hashOf({ paths: inputs }),
    async () => {
      const { build } = await import('vite');
      await build({
        configFile: join(root, 'vite.config.ts'),
        logLevel: 'warn',
        build: {
          outDir: join(root, outDir),
          minify: false,
          rolldownOptions: { input: join(root, 'renderer', 'testing', 'index.html') },
        },
      });
    },
  );
}

/** @param {string} nativeBuild folder that holds outpost_engine.node */
export async function buildApp(nativeBuild) {
  await stampedStep(
    'app',
    'app bundles',
    () => hashOf({ paths: inputs }),
    async () => {
      // Imported here: they are there only after the dependencies were installed.
      const { build } = await import('vite');
      const { rolldown } = await import('rolldown');
      await mkdir(output, { recursive: true });
      await build({ configFile: join(root, 'vite.config.ts'), logLevel: 'warn' });
      for (const [input, file, format] of processes) {
        const bundle = await rolldown({
          input: join(root, input),
          platform: 'node',
          external: ['electron', /^node:/, '@lydell/node-pty'],
          logLevel: 'warn',
        });
        const names = { entryFileNames: file, chunkFileNames: '[name].js' };
        await bundle.write({ dir: output, ...names, format, sourcemap: true });
        await bundle.close();
      }
      await copyFile(join(nativeBuild, 'outpost_engine.node'), join(output, 'outpost_engine.node'));
      // A package with a native part is not bundled: it lies beside the bundles as Node looks for it.
      const ptyPackages = ['node-pty', `node-pty-${process.platform}-${process.arch}`];
      for (const name of ptyPackages) {
        const path = join('node_modules', '@lydell', name);
        await cp(join(root, path), join(output, path), { recursive: true });
      }
      // Beside the bundle that starts it.
      const { rgPath } = await import('@vscode/ripgrep');
      await copyFile(rgPath, join(output, basename(rgPath)));
    },
  );
}
