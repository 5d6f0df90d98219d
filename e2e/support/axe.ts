// The accessibility checker axe, run in the window.
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { expect, type Page } from '@playwright/test';

const axePath = createRequire(import.meta.url).resolve('axe-core/axe.min.js');

interface Violation {
  id: string;
  help: string;
  nodes: { target: string[]; failureSummary: string }[];
}

/** What axe finds wrong, except inside of Monaco, which is not ours. */
export async function violations(page: Page): Promise<string[]> {
  const isThere = await page.evaluate(() => 'axe' in window);
  // Over the debugger: the page's own policy allows no foreign script.
  if (!isThere) await page.evaluate(await readFile(axePath, 'utf8'));
  const found = await page.evaluate(async () => {
    // Colours on their way from one theme to the other are nobody's choice.
    const moving = document.getAnimations().filter((animation) => animation instanceof CSSTransition);
    await Promise.allSettled(moving.map(({ finished }) => finished));
    const { axe } = window as unknown as { axe: { run: (...args: unknown[]) => Promise<{ violations: Violation[] }> } };
    const { violations: list } = await axe.run({ exclude: ['.monaco-editor'] }, { resultTypes: ['violations'] });
    return list.map(
      ({ id, help, nodes }) =>
        `${id}: ${help}: ${nodes.map(({ target, failureSummary }) => `${target.join(' ')} ${failureSummary}`).join(', ')}`,
    );
  });
  return found;
}

/** A picture of the window in each theme, in which axe finds nothing wrong. It is light then. */
export async function lookAt(page: Page, picture: (name: string) => Promise<void>, state: string): Promise<void> {
  for (const theme of ['contrast', 'dark', 'light']) {
    await page.evaluate((name) => {
      document.documentElement.dataset.theme = name;
    }, theme);
    await picture(`${state} ${theme}`);
    expect(await violations(page), `${state}, ${theme}`).toEqual([]);
  }
}
