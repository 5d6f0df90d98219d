// The renderer's bundle. The other processes are bundled by scripts/lib/app-build.mjs.
import react from '@vitejs/plugin-react';
import { defineConfig, type Plugin } from 'vite';

/**
 * Has the page fetch and compile everything that `main.tsx` imports later while its first script is still on the way.
 */
const preloadEverything: Plugin = {
  name: 'preload-everything',
  transformIndexHtml: {
    order: 'post',
    handler: (_html, { bundle }) => {
      const chunks = Object.values(bundle ?? {}).filter((chunk) => chunk.type === 'chunk');
      const first = chunks.find(({ isEntry }) => isEntry);
      const needed = new Set<string>();
      const add = (file: string) => {
        if (needed.has(file)) return;
        needed.add(file);
        for (const next of chunks.find(({ fileName }) => fileName === file)?.imports ?? []) add(next);
      };
      // Not the languages: those come with the first file of theirs.
      for (const file of first?.dynamicImports ?? []) add(file);
      return [...needed].map((file) => ({
        tag: 'link',
        attrs: { rel: 'modulepreload', crossorigin: true, href: `./${file}` },
        injectTo: 'head' as const,
      }));
    },
  },
};

export default defineConfig({
  root: 'renderer',
  base: './',
  plugins: [react(), preloadEverything],
  // Workers are files of our own origin: the Content-Security-Policy allows no blob: workers.
  worker: { format: 'es' },
  build: {
    outDir: '../build/app/renderer',
    emptyOutDir: true,
    target: 'chrome140',
    // Monaco alone is several megabytes; it is loaded from disk.
    chunkSizeWarningLimit: 8000,
    reportCompressedSize: false,
    rolldownOptions: { checks: { pluginTimings: false } },
  },
});
