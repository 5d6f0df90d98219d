import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test, writeFiles } from '../support/app.ts';
import { violations } from '../support/axe.ts';
import { file, shownText, status, tab, tree } from '../support/window.ts';

const queue = `export class Queue {
  #items = [];

  push(item) {
    this.#items.push(item);
  }

  clear() {
    this.#items = [];
  }
}
`;

test('go to a file, a line and a symbol by keyboard; the path above the text follows', async ({
  outpost,
  folder,
  picture,
}) => {
  await writeFiles(folder, { 'src/deep/queue.js': queue, 'src/main.py': 'def main():\n    pass\n' });
  const page = await outpost.launch({ folder, hasTinyModel: true });
  await file(page, 'src').waitFor();
  await page.keyboard.press('Control+p');
  await page.keyboard.type('queu:4:3');
  await expect(page.getByRole('option', { name: /queue\.js/ })).toBeVisible();
  await page.keyboard.press('Enter');
  await expect(status(page)).toContainText('Ln 4, Col 3');
  const path = page.getByRole('navigation', { name: 'Breadcrumbs' });
  await expect(path.getByRole('button')).toHaveText(['src', 'deep', 'queue.js', 'Queue', 'push']);

  await page.keyboard.press('Control+Shift+o');
  await expect(page.getByRole('option')).toHaveText([/^Queue/, /^push/, /^clear/]);
  await picture('symbols');
  await page.keyboard.type('cl');
  await page.keyboard.press('Enter');
  await expect(status(page)).toContainText('Ln 8, Col 1');
  await expect(path.getByRole('button').last()).toHaveText('clear');

  await page.keyboard.press('Control+g');
  await page.keyboard.type('2:5');
  await page.keyboard.press('Enter');
  await expect(status(page)).toContainText('Ln 2, Col 5');
  await page.keyboard.type('/');
  await expect(tab(page, 'queue.js, unsaved')).toBeVisible();
  await picture('path');
  expect(await violations(page)).toEqual([]);

  // Find and replace in the file.
  await page.keyboard.press('Control+f');
  const find = page.getByRole('textbox', { name: /^Find/ });
  await expect(find).toBeFocused();
  await find.fill('items');
  await expect(page.locator('.find-widget')).toContainText('of 2');
  await page.keyboard.press('Escape');
  await page.keyboard.press('Control+Alt+f');
  await page.getByRole('textbox', { name: /^Find/ }).fill('clear');
  await page.getByRole('textbox', { name: /^Replace/ }).fill('empty');
  await page.keyboard.press('Control+Alt+Enter');
  await expect.poll(() => shownText(page)).toContain('empty() {');
});

test('delete, move and create in the tree, and take each back', async ({ outpost, folder, picture }) => {
  await writeFiles(folder, { 'src/a.txt': 'kept\n', 'lib/b.txt': 'b\n' });
  const trash = join(outpost.userData, 'share');
  process.env.XDG_DATA_HOME = trash;
  const page = await outpost.launch({ folder, hasTinyModel: true });
  await file(page, 'src').click();
  await file(page, 'a.txt').click();
  await expect(tab(page, 'a.txt')).toBeVisible();
  await tree(page).focus();
  await page.keyboard.press('Delete');
  await expect(file(page, 'a.txt')).toBeHidden();
  await expect(tab(page, 'a.txt')).toBeHidden();
  expect(await readFile(join(trash, 'Trash', 'files', 'a.txt'), 'utf8')).toBe('kept\n');
  await picture('deleted');
  await page.getByRole('button', { name: 'Undo' }).click();
  await expect(file(page, 'a.txt')).toBeVisible();
  await expect(tab(page, 'a.txt')).toBeVisible();

  await file(page, 'a.txt').click();
  await tree(page).focus();
  await page.keyboard.press('Control+x');
  await file(page, 'lib').click();
  await tree(page).focus();
  await page.keyboard.press('Control+v');
  await expect.poll(() => readFile(join(folder, 'lib/a.txt'), 'utf8').catch(() => '')).toBe('kept\n');
  await tree(page).focus();
  await page.keyboard.press('Control+z');
  await expect.poll(() => readFile(join(folder, 'src/a.txt'), 'utf8').catch(() => '')).toBe('kept\n');

  await page.getByRole('button', { name: 'New file' }).click();
  await page.keyboard.type('new.txt');
  await page.keyboard.press('Enter');
  await expect(tab(page, 'new.txt')).toBeVisible();
  await tree(page).focus();
  await page.keyboard.press('Control+z');
  await expect(tab(page, 'new.txt')).toBeHidden();
  await expect(stat(join(folder, 'src/new.txt'))).rejects.toThrow();
});
