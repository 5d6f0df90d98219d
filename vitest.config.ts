import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['electron/**/*.test.ts', 'renderer/**/*.test.ts', 'scripts/**/*.test.mjs', 'forge/**/*.test.mjs'],
    environment: 'node',
    // By default one processor stays idle, which is half of a machine with two.
    maxWorkers: '100%',
    // Against a hang only: a busy machine may take its time.
    testTimeout: 60_000,
  },
});
