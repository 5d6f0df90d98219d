// Guessing ahead in the real app: the draft model of a pair comes with its target, what it is worth is shown while the
// engine answers, and another one, or none, can be chosen.
import type { Page } from '@playwright/test';
import { expect, test, writeFiles } from '../support/app.ts';
import { violations } from '../support/axe.ts';
import { modelCard, modelsDialog, openModelCard } from '../support/models.ts';
import { openFile, status, typeAtEnd } from '../support/window.ts';

const guesses = (page: Page) => modelCard(page).getByRole('region', { name: 'Guessing ahead' });

test('a draft model is loaded with its target, its worth is shown, and it can be taken away', async ({
  outpost,
  folder,
  picture,
}) => {
  const lines = Array.from({ length: 30 }, (_, i) => `export const name${i} = lookup('name${i}');`);
  await writeFiles(folder, { 'names.ts': `${lines.join('\n')}\n` });
  const page = await outpost.launch({ folder });
  await outpost.waitForModel();
  await openFile(page, 'names.ts');
  // A suggestion, which the pair of the app writes together.
  await typeAtEnd(page, 'export const name30 =');
  await expect(status(page).getByRole('button', { name: /^Inline completion: \d/ })).toBeVisible({ timeout: 60_000 });

  await openModelCard(page, /^Outpost Code 73M/);
  await expect(guesses(page)).toContainText('Outpost Code Draft 11M (Q4_K) drafts.', { timeout: 60_000 });
  await expect(guesses(page).getByRole('row', { name: /Draft model/ })).toBeVisible();
  await expect(modelCard(page).getByRole('region', { name: 'In memory' })).toContainText(
    /and [\d.]+ MiB for the draft model/,
  );
  await expect(
    modelsDialog(page)
      .getByRole('listitem')
      .filter({ hasText: /^Draft models/ }),
  ).toContainText(/[1-9][\d.]* MiB/);
  const choice = modelCard(page).getByRole('combobox', { name: 'Draft model' });
  await expect(choice.locator('option').first()).toHaveText('Automatic: Outpost Code Draft 11M (Q4_K)');
  await modelCard(page).getByText('Why not the others').click();
  await expect(modelCard(page)).toContainText('It is not small enough');
  await picture('pair');
  expect(await violations(page)).toEqual([]);

  await choice.selectOption('None');
  await expect(guesses(page)).not.toContainText('drafts', { timeout: 60_000 });
  // The chat's model has another vocabulary: nothing drafts for it unless the user says so.
  await page.keyboard.press('Escape');
  await openModelCard(page, /^TinyLlama/);
  await expect(choice.locator('option')).toHaveText([
    'Automatic: none of its vocabulary',
    'None',
    'Outpost Code 73M (Q4_K), another vocabulary',
    'Outpost Code Draft 11M (Q4_K), another vocabulary',
  ]);
  await picture('another vocabulary');
});
