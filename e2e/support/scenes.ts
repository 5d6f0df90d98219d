// The window on a scripted API, for states that take hardware or a moment which no story can count on. One window for all
// stories of a file; a scene begins with a page of its own.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { _electron, test as base, expect, type Locator, type Page } from '@playwright/test';
import type { FakeApi } from '../../renderer/testing/fake-api.ts';
import { keepPicture, sandboxSwitches } from './app.ts';

const root = join(import.meta.dirname, '..', '..');

interface SceneFixtures {
  /** Shows a scene of renderer/testing/scenes.ts. */
  scene: (name: string) => Promise<Page>;
  picture: (name: string, hidden?: Locator[]) => Promise<void>;
}

export const test = base.extend<SceneFixtures, { scenePage: Page }>({
  scenePage: [
    // biome-ignore lint/correctness/noEmptyPattern: Playwright reads the fixtures that are needed from the pattern
    async ({}, use) => {
      const userData = await mkdtemp(join(tmpdir(), 'outpost-e2e-scenes-'));
      const app = await _electron.launch({
        args: [...sandboxSwitches, join(import.meta.dirname, 'scene-window.cjs')],
        env: {
          ...(process.env as Record<string, string>),
          OUTPOST_SCENES: join(root, 'build', 'testing-page'),
          OUTPOST_USER_DATA: userData,
        },
      });
      await use(await app.firstWindow());
      await app.close();
      await rm(userData, { recursive: true, force: true, maxRetries: 10 });
    },
    { scope: 'worker' },
  ],
  scene: async ({ scenePage: page }, use) => {
    await use(async (name) => {
      await page.goto(`scene://page/testing/index.html?scene=${name}`);
      // Not by its name, which a dialog hides that comes with it.
      await page.locator('[data-region="status"]').waitFor();
      return page;
    });
  },
  picture: async ({ scenePage }, use, info) => {
    await use((name, hidden) => keepPicture(scenePage, info, name, hidden));
  },
});

/** Runs in the page, with what the window takes for the app. */
export const script = <T>(page: Page, change: (fake: FakeApi) => T): Promise<T> =>
  page.evaluate(`(${change})(window.fake)`);

export { expect };
