import { access, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test, writeFiles } from '../support/app.ts';
import { file, tab, tree } from '../support/window.ts';

test('files are made, renamed, moved and deleted by the menu of the tree, and each is taken back', async ({
  outpost,
  folder,
  picture,
}) => {
  await writeFiles(folder, { 'src/a.ts': 'const a = 1;\n', 'b.md': '# b\n' });
  const page = await outpost.launch({ folder, hasTinyModel: true });
  const pick = async (name: string, action: string) => {
    await file(page, name).click({ button: 'right' });
    await page.getByRole('menuitem', { name: action }).click();
    await expect(page.getByRole('menu')).toBeHidden();
  };
  const exists = (path: string) =>
    access(join(folder, path)).then(
      () => true,
      () => false,
    );

  await file(page, 'b.md').click({ button: 'right' });
  await expect(page.getByRole('menu')).toBeVisible();
  for (const theme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme: theme });
    await picture(`the menu ${theme}`);
  }
  await page.emulateMedia({ colorScheme: 'light' });
  await page.keyboard.press('Escape');
  await expect(page.getByRole('menu')).toBeHidden();

  await pick('b.md', 'Rename');
  await expect(page.getByRole('textbox', { name: 'New name' })).toBeFocused();
  await picture('a new name');
  await page.keyboard.type('c'); // in place of what comes before the dot
  await page.keyboard.press('Enter');
  await expect(file(page, 'c.md')).toBeVisible();
  expect(await readFile(join(folder, 'c.md'), 'utf8')).toBe('# b\n');
  await expect(tree(page)).toBeFocused();
  await page.keyboard.press('Control+z');
  await expect(file(page, 'b.md')).toBeVisible();

  await pick('src', 'New File');
  await expect(page.getByRole('textbox', { name: 'Name of the new file' })).toBeFocused();
  await page.keyboard.type('b.md');
  await page.keyboard.press('Enter');
  await expect(tab(page, 'b.md')).toHaveAttribute('aria-selected', 'true');
  await expect.poll(() => exists('src/b.md')).toBe(true);

  await pick('src', 'New Folder');
  await page.keyboard.type('inner');
  await page.keyboard.press('Enter');
  await expect(file(page, 'inner')).toBeVisible();

  await pick('a.ts', 'Cut');
  await pick('inner', 'Paste');
  await expect.poll(() => exists('src/inner/a.ts')).toBe(true);
  await pick('inner', 'Undo File Operation');
  await expect(page.getByText('a.ts was moved to src/inner.')).toBeHidden(); // with its own offer to undo that
  await expect.poll(() => exists('src/a.ts')).toBe(true);

  await pick('a.ts', 'Attach to Chat');
  await expect(page.getByRole('textbox', { name: 'Message' })).toBeFocused();
  await expect(page.getByRole('complementary', { name: 'Chat' })).toContainText('src/a.ts');
  const copied = () => outpost.inMain(({ clipboard }) => clipboard.readText());
  await pick('a.ts', 'Copy Relative Path');
  await expect.poll(copied).toBe('src/a.ts');
  await pick('inner', 'Copy Path');
  await expect.poll(copied).toBe(join(folder, 'src/inner'));

  // The empty part of the tree is no file's.
  await tree(page).click({ button: 'right', position: { x: 60, y: 400 } });
  for (const action of ['Rename', 'Cut', 'Paste', 'Move to Trash'])
    await expect(page.getByRole('menuitem', { name: action })).toBeDisabled();
  await picture('of the folder');
  await page.keyboard.press('Escape');

  await pick('a.ts', 'Move to Trash');
  await expect(file(page, 'a.ts')).toBeHidden();
  expect(await exists('src/a.ts')).toBe(false);
  await expect(tree(page)).toBeFocused();
  await page.keyboard.press('Control+z');
  await expect.poll(() => exists('src/a.ts')).toBe(true);
});

test('a name that turns itself around shows what it really ends with', async ({ outpost, folder, picture }) => {
  const name = 'photo-\u202egpj.exe';
  await writeFiles(folder, { [name]: 'no picture\n' });
  const page = await outpost.launch({ folder, hasTinyModel: true });
  const shown = 'photo-\ufffdgpj.exe';
  await expect(file(page, name)).toContainText(shown);
  await file(page, name).click();
  await expect(tab(page, name)).toContainText(shown);
  await expect(page.getByRole('navigation', { name: 'Breadcrumbs' })).toContainText(shown);
  await page.keyboard.press('Control+p');
  await page.keyboard.type('exe');
  await expect(page.getByRole('option', { name: shown })).toBeVisible();
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme });
    await picture(`a turned name ${colorScheme}`);
  }
});
