import { expect, test, writeFiles } from '../support/app.ts';
import { violations } from '../support/axe.ts';
import { openFile } from '../support/window.ts';

test('two files side by side, by keyboard, and again after a restart', async ({ outpost, folder, picture }) => {
  await writeFiles(folder, { 'a.ts': 'const a = 1;\n', 'b.ts': 'const b = 2;\n' });
  let page = await outpost.launch({ folder, hasTinyModel: true });
  await openFile(page, 'a.ts');
  await page.keyboard.press('Control+\\');
  const half = (side: string) => page.getByRole('tablist', { name: `Open files, ${side} half` });
  await expect(half('right').getByRole('tab', { name: 'a.ts', exact: true })).toHaveAttribute('aria-selected', 'true');

  await page.keyboard.press('Control+p');
  await page.keyboard.type('b.ts');
  await page.getByRole('option', { name: 'b.ts' }).waitFor();
  await page.keyboard.press('Enter');
  await expect(half('right').getByRole('tab', { name: 'b.ts', exact: true })).toHaveAttribute('aria-selected', 'true');
  await expect(half('left').getByRole('tab', { name: 'a.ts', exact: true })).toHaveAttribute('aria-selected', 'true');
  // Its tab is there before its text, and keys go to the text.
  await expect(page.locator('#editor-panel-right')).toContainText('const b');
  await page.keyboard.press('Control+End');
  await page.keyboard.type('// right');

  await page.keyboard.press('Control+2');
  await page.keyboard.press('Control+End');
  await page.keyboard.type('// left');
  await expect(page.locator('#editor-panel')).toContainText('// left');
  await expect(page.locator('#editor-panel-right')).toContainText('// right');
  await expect(page.locator('#editor-panel-right')).not.toContainText('// left');
  await picture('side by side');
  expect(await violations(page)).toEqual([]);

  // The window comes back where it was, as large as it was, at its zoom.
  const pixelRatio = () => page.evaluate(() => devicePixelRatio);
  await page.keyboard.press('Control+Alt+Equal');
  await expect.poll(pixelRatio).toBeGreaterThan(1);
  const zoomed = await pixelRatio();
  const place = { x: 60, y: 40, width: 1100, height: 700 };
  await outpost.inMain(({ BrowserWindow }, bounds) => BrowserWindow.getAllWindows()[0]?.setBounds(bounds), place);

  await outpost.close();
  page = await outpost.launch({ folder, hasTinyModel: true });
  const window = () =>
    outpost.inMain(({ BrowserWindow }) => {
      const [shown] = BrowserWindow.getAllWindows();
      return { isVisible: shown?.isVisible(), bounds: shown?.getBounds() };
    });
  await expect.poll(window).toEqual({ isVisible: true, bounds: place });
  await expect.poll(pixelRatio).toBe(zoomed);
  await expect(half('left').getByRole('tab', { name: 'a.ts, unsaved', exact: true })).toHaveAttribute(
    'aria-selected',
    'true',
  );
  await expect(half('right').getByRole('tab', { name: 'b.ts, unsaved', exact: true })).toHaveAttribute(
    'aria-selected',
    'true',
  );
  await expect(page.locator('#editor-panel-right')).toContainText('// right');

  await page.keyboard.press('Control+\\');
  await expect(page.getByRole('tablist', { name: 'Open files', exact: true })).toBeVisible();
  await expect(page.locator('#editor-panel')).toContainText('// left');
});
