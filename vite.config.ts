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
    // Monaco alone is several megabytes; it is loaded from disk.
    chunkSizeWarningLimit: 8000,
    reportCompressedSize: false,
    rolldownOptions: { checks: { pluginTimings: false } },
  },
});
