// The view of models, by the names that assistive technology hears.
import { join } from 'node:path';
import type { Page } from '@playwright/test';

/** Switches with which the engine's process has a GPU that is none. */
export const standInGpu = ['-r', join(import.meta.dirname, 'stand-in-gpu.cjs')];

export const modelsDialog = (page: Page) => page.getByRole('dialog', { name: 'Models' });
export const modelCard = (page: Page) => modelsDialog(page).getByRole('article');

/** Opens the view with the card of a model on this machine. */
export async function openModelCard(page: Page, name: RegExp): Promise<void> {
  await page.keyboard.press('Control+Shift+m');
  await modelsDialog(page).getByRole('list', { name: 'Models on this machine' }).getByRole('button', { name }).click();
}
