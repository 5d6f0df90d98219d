import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test, writeFiles } from '../support/app.ts';
import { violations } from '../support/axe.ts';
import { shownText, tab } from '../support/window.ts';

test('search in files, open a match, replace all with a preview, undo', async ({ outpost, folder, picture }) => {
  await writeFiles(folder, {
    'src/orbit.ts': 'export const orbitRadius = 7;\nexport const radius2 = orbitRadius ** 2;\n',
    'src/deep/plan.py': 'orbit_radius = 7\r\nprint(orbit_radius)\r\n',
    'docs/notes.md': 'The orbitRadius is in metres.\n',
    'node_modules/x/index.js': 'orbitRadius\n',
  });
  const page = await outpost.launch({ folder, hasTinyModel: true });
  await page.getByRole('treeitem', { name: 'docs' }).waitFor();
  await page.keyboard.press('Control+Shift+f');
  const input = page.getByRole('textbox', { name: 'Search in files' });
  await expect(input).toBeFocused();
  await page.keyboard.type('orbitRadius');
  const results = page.getByRole('tree', { name: 'Search results' });
  await expect(page.getByRole('search')).toContainText('3 matches in 2 files');
  await picture('results');

  await page.getByRole('button', { name: 'Match case' }).click();
  await page.getByRole('button', { name: 'Regular expression' }).click();
  await input.fill('orbit_?[Rr]adius');
  await expect(page.getByRole('search')).toContainText('5 matches in 3 files');
  await input.fill('orbit(');
  await expect(page.getByRole('search')).toContainText('unclosed group');
  await input.fill('orbit_?[Rr]adius');
  await page.getByText('Where').click();
  await page.getByRole('textbox', { name: 'Not in' }).fill('docs');
  await expect(page.getByRole('search')).toContainText('4 matches in 2 files');

  const match = results.getByRole('treeitem', { name: /^Line 2: export const radius2/ });
  await results.focus();
  for (let i = 0; i < 8 && (await match.getAttribute('aria-selected')) !== 'true'; i++) {
    await page.keyboard.press('ArrowDown');
  }
  await page.keyboard.press('Enter');
  await expect(tab(page, 'orbit.ts')).toHaveAttribute('aria-selected', 'true');
  await expect(page.getByRole('region', { name: 'Status' })).toContainText('Ln 2, Col 35 (11 selected)');

  await page.keyboard.press('Control+Shift+h');
  await page.getByRole('textbox', { name: 'Replace with' }).fill('sma');
  await input.fill('(orbit)_?[Rr]adius');
  await page.getByRole('textbox', { name: 'Replace with' }).fill('$1_sma');
  await expect(results.locator('ins').first()).toHaveText('orbit_sma');
  await picture('replacement');
  for (const colorScheme of ['dark', 'light'] as const) {
    await page.emulateMedia({ colorScheme });
    expect(await violations(page)).toEqual([]);
  }
  await page.getByRole('button', { name: 'Replace all' }).click();
  await page.getByRole('alertdialog').getByRole('button', { name: 'Replace All' }).click();
  await expect(page.getByRole('region', { name: 'Notifications' })).toContainText('Replaced 4 in 2 files.');
  expect(await readFile(join(folder, 'src/deep/plan.py'), 'utf8')).toBe('orbit_sma = 7\r\nprint(orbit_sma)\r\n');
  expect(await readFile(join(folder, 'src/orbit.ts'), 'utf8')).toContain('radius2 = orbit_sma ** 2');
  expect(await shownText(page)).toContain('export const orbit_sma = 7;');

  await page.getByRole('button', { name: 'Undo' }).click();
  await expect.poll(() => readFile(join(folder, 'src/deep/plan.py'), 'utf8')).toContain('print(orbit_radius)\r\n');
  await expect.poll(() => shownText(page)).toContain('orbitRadius = 7');
  expect(await readFile(join(folder, 'docs/notes.md'), 'utf8')).toBe('The orbitRadius is in metres.\n');
});
