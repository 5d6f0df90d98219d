import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['electron/**/*.test.ts', 'renderer/**/*.test.ts', 'scripts/**/*.test.mjs', 'forge/**/*.test.mjs'],
    environment: 'node',
    // Against a hang only: a busy machine may take its time.
    testTimeout: 60_000,
  },
});
