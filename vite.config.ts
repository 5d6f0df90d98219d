// The renderer's bundle. The other processes are bundled by scripts/lib/app-build.mjs.
import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

export default defineConfig({
  root: 'renderer',
  base: './',
  plugins: [react()],
  // Workers are files of our own origin: the Content-Security-Policy allows no blob: workers.
  worker: { format: 'es' },
  build: {
    outDir: '../build/app/renderer',
    emptyOutDir: true,
    target: 'chrome140',
    modulePreload: { polyfill: false },
    // Monaco alone is several megabytes; it is loaded from disk.
    chunkSizeWarningLimit: 8000,
    reportCompressedSize: false,
    rolldownOptions: {
      checks: { pluginTimings: false },
      // A file of its own comes first in the order of evaluation, which begins when all are there.
      output: { codeSplitting: { groups: [{ name: 'start', test: /renderer[\\/]start\.ts$/ }] } },
    },
  },
});
