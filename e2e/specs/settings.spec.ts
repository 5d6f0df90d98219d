import { expect, test, writeFiles } from '../support/app.ts';
import { openFile, shownText, tab } from '../support/window.ts';

test('settings are searched, edited as JSON, and give commands other keys', async ({ outpost, folder }) => {
  await writeFiles(folder, { 'a.json': '{"a":1}', 'b.txt': 'b\n' });
  const page = await outpost.launch({ folder, hasTinyModel: true });
  await openFile(page, 'a.json');
  await page.keyboard.press('Control+,');
  const dialog = page.getByRole('dialog');
  await dialog.getByRole('searchbox', { name: 'Search settings' }).fill('format');
  await expect(dialog.getByRole('spinbutton', { name: 'Zoom' })).toBeHidden();
  await dialog.getByRole('switch', { name: 'Format on save' }).click();

  await dialog.getByRole('button', { name: 'Keyboard Shortcuts' }).click();
  await dialog.getByRole('searchbox').fill('close tab');
  await dialog.getByRole('button', { name: 'Change the keys of Close Tab' }).click();
  await page.keyboard.press('Control+Shift+g');
  await expect(dialog.getByRole('status')).toHaveText('“Show Source Control” had this key and has none now.');
  await page.keyboard.press('Escape');

  await page.keyboard.press('Control+,');
  await dialog.getByRole('button', { name: 'Edit as JSON' }).click();
  const json = dialog.getByRole('textbox', { name: 'Settings as JSON' });
  await expect(json).toHaveValue(/"formatOnSave": true/);
  await json.fill((await json.inputValue()).replace('"editorFontSize": 13', '"editorFontSize": 1'));
  await dialog.getByRole('button', { name: 'Save' }).click();
  await expect(dialog.getByRole('alert')).toContainText('editorFontSize');
  await json.fill((await json.inputValue()).replace('"editorFontSize": 1', '"editorFontSize": 16'));
  await dialog.getByRole('button', { name: 'Save' }).click();
  await expect(dialog).toBeHidden();

  const pixelRatio = () => page.evaluate(() => devicePixelRatio);
  const before = await pixelRatio();
  await page.keyboard.press('Control+Alt+Equal');
  await expect.poll(pixelRatio).toBeGreaterThan(before);
  await page.keyboard.press('Control+Alt+0');
  await expect.poll(pixelRatio).toBe(before);

  await page.locator('.monaco-editor .view-lines').click();
  await page.keyboard.press('Control+s');
  await expect.poll(() => shownText(page)).toContain('"a": 1');
  await page.keyboard.press('Control+Shift+g');
  await expect(tab(page, 'a.json')).toBeHidden();
});
