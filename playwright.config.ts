import { defineConfig } from '@playwright/test';

// One worker: every story drives the real engine, which uses all cores.
export default defineConfig({
  testDir: 'e2e/specs',
  outputDir: 'test-artifacts/e2e',
  workers: 1,
  timeout: 120_000,
  expect: { timeout: 20_000 },
  reporter: [['list']],
  forbidOnly: process.env.CI !== undefined,
});
