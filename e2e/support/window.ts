// What a user sees and does, by the names that assistive technology hears.
import { expect, type Page } from '@playwright/test';

export const tree = (page: Page) => page.getByRole('tree');
export const file = (page: Page, name: string) => page.getByRole('treeitem', { name, exact: true });
export const tab = (page: Page, name: string) => page.getByRole('tab', { name, exact: true });
export const replies = (page: Page) => page.getByRole('article', { name: 'Reply' });
export const message = (page: Page) => page.getByRole('textbox', { name: 'Message' });
export const stopButton = (page: Page) => page.getByRole('button', { name: 'Stop the reply' });
export const status = (page: Page) => page.getByRole('region', { name: 'Status' });

/** The text that the editor shows, as far as it is scrolled into view; line breaks as \n. */
export async function shownText(page: Page): Promise<string> {
  const lines = page.locator('.monaco-editor .view-line');
  const positioned = await lines.evaluateAll((elements) =>
    elements.map((element) => ({ top: element.getBoundingClientRect().top, text: element.textContent ?? '' })),
  );
  const text = positioned.sort((a, b) => a.top - b.top).map((line) => line.text);
  return text.join('\n').replaceAll('\u00a0', ' ');
}

/** Opens a file from the tree and puts the cursor into the editor. */
export async function openFile(page: Page, name: string): Promise<void> {
  await file(page, name).click();
  await expect(tab(page, name)).toHaveAttribute('aria-selected', 'true');
  await page.locator('.monaco-editor .view-lines').click();
  await expect(page.locator('.monaco-editor.focused')).toBeVisible();
}

export async function typeAtEnd(page: Page, text: string): Promise<void> {
  await page.keyboard.press('Control+End');
  await page.keyboard.type(text);
}

export async function ask(page: Page, text: string): Promise<void> {
  await message(page).fill(text);
  await page.keyboard.press('Enter');
}
