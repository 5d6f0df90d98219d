// What the view of models makes of GPUs that this machine does not have: on the scripted page.
import type { Page } from '@playwright/test';
import { lookAt } from '../support/axe.ts';
import { modelCard, modelsDialog, openModelCard } from '../support/models.ts';
import { expect, script, test } from '../support/scenes.ts';

const computesOn = (page: Page) => modelCard(page).getByLabel('Computes on');
const willItFit = (page: Page) => modelCard(page).getByRole('region', { name: 'Will it fit' });

test('two GPUs, one of them or both: a bar for each, and what both would have of a model', async ({
  scene,
  picture,
}) => {
  const page = await scene('modelsTwoGpus');
  await openModelCard(page, /^Qwen2.5 Coder/);
  for (const id of ['cuda:0', 'cuda:1'])
    await expect(
      modelsDialog(page).getByRole('img', { name: RegExp(`^A GPU \\(${id}\\): models take`) }),
    ).toBeVisible();
  await expect(computesOn(page).locator('option')).toHaveText([
    'The processor',
    'A GPU (cuda:0), 768 MiB of 1.0 GiB free',
    'A GPU (cuda:1), 768 MiB of 1.0 GiB free',
    'Both GPUs, 1.5 GiB of 2.0 GiB free',
  ]);
  await computesOn(page).selectOption('cuda:0,cuda:1');
  await expect(computesOn(page)).toHaveValue('cuda:0,cuda:1');
  // The number of layers is one GPU's: several share them by their room.
  await expect(modelCard(page).getByLabel('Layers on the GPU')).toHaveCount(0);
  const updates = await script(page, ({ models }) => models.calls.filter(({ name }) => name === 'update'));
  expect(updates.map(({ input }) => input)).toMatchObject([{ overrides: { device: 'cuda:0,cuda:1' } }]);
  await willItFit(page).getByLabel('What if it computed on').selectOption('Both GPUs');
  await expect(willItFit(page)).toContainText('2 GPUs together have room for');
  for (const name of [/^A GPU \(cuda:0\), \d+ of 22 layers/, /^A GPU \(cuda:1\), \d+ of 22 layers/])
    await expect(willItFit(page).getByRole('region', { name })).toContainText('Weights');
  await lookAt(page, picture, 'both GPUs');
  await willItFit(page).getByText('2 GPUs together have room for').scrollIntoViewIfNeeded();
  await lookAt(page, picture, 'what both would have');
});

test('a GPU that refuses: it stands among the others, cannot be chosen, and says why', async ({ scene, picture }) => {
  const page = await scene('modelsRefusingGpu');
  await openModelCard(page, /^Qwen2.5 Coder/);
  await expect(computesOn(page).getByRole('option', { disabled: true })).toHaveText([
    'An old GPU, which cannot be used now',
  ]);
  await expect(computesOn(page)).toHaveAccessibleDescription(/An old GPU cannot be used now: The driver of cuda:1/);
  await expect(modelsDialog(page).getByRole('img', { name: /^An old GPU/ })).toHaveCount(0);
  await expect(willItFit(page).getByLabel('What if it computed on').getByRole('option', { disabled: true })).toHaveText(
    ['An old GPU, which cannot be used now'],
  );
  await lookAt(page, picture, 'a GPU that refuses');
});

test('a model that is set to a GPU that refuses: refused when it was loaded, and warned of before', async ({
  scene,
  picture,
}) => {
  const page = await scene('modelsMissingGpu');
  await openModelCard(page, /^TinyLlama/);
  await expect(modelCard(page).getByRole('alert')).toContainText('The device cuda:0 cannot be used: cuda:0 (A GPU)');
  // Said once.
  await expect(modelCard(page).getByText(/refuses this program/)).toHaveCount(1);
  await expect(computesOn(page).locator('option:checked')).toHaveText('A GPU, which cannot be used now');
  await lookAt(page, picture, 'refused');

  await modelsDialog(page)
    .getByRole('button', { name: /^Qwen2.5 Coder/ })
    .click();
  const warning = modelCard(page).getByRole('status').filter({ hasText: 'A GPU cannot be used now.' });
  await expect(warning).toContainText('cuda:0 (A GPU) refuses this program: out of memory. Load the model again');
  await lookAt(page, picture, 'not tried yet');
  await warning.getByRole('button', { name: 'Use the Processor' }).press('Enter');
  await expect(warning).toHaveCount(0);
  await expect(computesOn(page)).toHaveValue('cpu');
});
