// How few bits a model's context may have is found out on the real code model, and its card says what the context holds.
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Page } from '@playwright/test';
import { expect, test } from '../support/app.ts';
import { violations } from '../support/axe.ts';
import { modelCard, openModelCard } from '../support/models.ts';
import { ask, replies } from '../support/window.ts';

// The one that the bundled model came with fits it: a check uses it, and makes none of its own.
const calibration = join(import.meta.dirname, '../../resources/models/outpost-code-q4_K.gguf.kv-calibration');
let shipped: Buffer;
test.beforeAll(async () => {
  shipped = await readFile(calibration);
});
test.afterAll(async () => expect((await readFile(calibration)).equals(shipped)).toBe(true));

const contextMemory = (page: Page) => modelCard(page).getByRole('region', { name: 'Memory of its context' });

test('a check finds the smallest context that a model bears, and the card says what is in it', async ({
  outpost,
  picture,
}) => {
  test.setTimeout(180_000);
  const settings = { sampler: { temperature: 0, maxTokens: 24 }, hasSeenFirstSteps: true };
  await writeFile(join(outpost.userData, 'settings.json'), JSON.stringify(settings));
  const page = await outpost.launch();
  await outpost.waitForModel();
  await openModelCard(page, /^Outpost Code 73M/);
  await expect(contextMemory(page)).toContainText('not checked yet');

  // Stopped, it leaves no result.
  await contextMemory(page).getByRole('button', { name: 'Check Its Context' }).click();
  await contextMemory(page).getByRole('button', { name: 'Stop the Check' }).click();
  await expect(contextMemory(page).getByRole('button', { name: 'Check Its Context' })).toBeEnabled();
  await expect(contextMemory(page)).toContainText('not checked yet');

  const from = performance.now();
  await contextMemory(page).getByRole('button', { name: 'Check Its Context' }).click();
  const table = contextMemory(page).getByRole('table');
  await expect(table).toBeVisible({ timeout: 90_000 });
  expect(performance.now() - from).toBeLessThan(75_000); // a minute, and what a busy machine adds
  await expect(table.getByRole('row')).toHaveCount(4);
  // In the order of their sizes; what 8 bits of keys and 4 of values change is far below the limits.
  const verdicts = await table
    .locator('tbody tr')
    .evaluateAll((rows) => rows.map((row) => (row as HTMLElement).innerText.split('\t')));
  expect(verdicts.map(([preset]) => preset)).toEqual(['Max', 'Compact', 'Safe']);
  expect(verdicts[2]?.at(-1)).toBe('Yes');
  const smallest = verdicts.find((row) => row.at(-1) === 'Yes')?.[0];
  await expect(contextMemory(page)).toContainText(`Its context is kept ${smallest}: the smallest that changed little`);
  await expect(contextMemory(page)).toContainText('with the calibration that lay beside it');
  expect(await violations(page)).toEqual([]);
  await picture('checked');
  await page.keyboard.press('Escape');

  // What the chat asks twice is read once.
  await ask(page, 'Write one sentence about the sea.');
  await expect(replies(page).first()).toHaveAttribute('aria-busy', 'false', { timeout: 60_000 });
  await ask(page, 'And one about the wind.');
  await expect(replies(page).nth(1)).toHaveAttribute('aria-busy', 'false', { timeout: 60_000 });
  await openModelCard(page, /TinyLlama/);
  await expect(modelCard(page)).toContainText(/Context \(Exact\): \d+ tokens in [\d.]+ .iB and \d+ pages/);
  await expect(modelCard(page)).toContainText(/[4-8]\.\d times less than with a head of keys for each head/);
  await expect(modelCard(page)).toContainText(/tokens that it was asked to read, [1-9]\d* % were there already/);
  await picture('what it holds');
});
