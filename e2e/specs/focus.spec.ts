import type { Page } from '@playwright/test';
import { expect, test, writeFiles } from '../support/app.ts';
import { openFile, shownText, tab } from '../support/window.ts';

const kEnter = { text: '\r', windowsVirtualKeyCode: 13 };
const kEscape = { windowsVirtualKeyCode: 27 };

/** Presses keys as who types fast does. Playwright's own keyboard waits for what a key does before it presses the next. */
async function typist(page: Page): Promise<(key: string, more?: object) => Promise<void>> {
  const keyboard = await page.context().newCDPSession(page);
  return async (key, more = { text: key }) => {
    await keyboard.send('Input.dispatchKeyEvent', { type: 'keyDown', key, ...more });
  };
}

test('what closes gives the keyboard back to the text', async ({ outpost, folder }) => {
  await writeFiles(folder, { 'a.txt': 'a\n', 'b.txt': 'b\n' });
  let page = await outpost.launch({ folder });
  await openFile(page, 'a.txt');
  await openFile(page, 'b.txt');
  const text = page.locator('.monaco-editor.focused');
  const dialog = page.getByRole('dialog');
  for (const keys of ['Control+p', 'Control+Shift+p', 'Control+,', 'Control+Alt+k']) {
    await page.keyboard.press(keys);
    await expect(dialog).toBeVisible();
    await page.keyboard.press('Escape');
    await expect(dialog).toBeHidden();
    await expect(text, keys).toBeVisible();
  }

  // A click beside them.
  for (const keys of ['Control+p', 'Control+,']) {
    await page.keyboard.press(keys);
    await expect(dialog).toBeVisible();
    await page.mouse.click(3, 300);
    await expect(dialog).toBeHidden();
    await expect(text, keys).toBeVisible();
  }

  await page.keyboard.press('Control+Shift+p');
  await page.keyboard.type('increase font');
  await page.keyboard.press('Enter');
  await expect(dialog).toBeHidden();
  await expect(text).toBeVisible();

  // A dialog that was opened from the palette.
  await page.keyboard.press('Control+Shift+p');
  await page.keyboard.type('keyboard shortcuts');
  await page.keyboard.press('Enter');
  await expect(page.getByRole('dialog', { name: 'Keyboard Shortcuts' })).toBeVisible();
  await page.keyboard.press('Escape');
  await expect(dialog).toBeHidden();
  await expect(text).toBeVisible();

  // A question, and the answer that nothing shall happen.
  await page.keyboard.type('typed ');
  await page.keyboard.press('Control+w');
  await expect(page.getByRole('alertdialog')).toBeVisible();
  await page.keyboard.press('Escape');
  await expect(page.getByRole('alertdialog')).toBeHidden();
  await page.keyboard.type('on ');
  await expect.poll(() => shownText(page)).toContain('typed on');
  await page.keyboard.press('Control+s');
  await expect(tab(page, 'b.txt')).toBeVisible();

  // The tab beside one that closes was not read yet.
  await outpost.close();
  page = await outpost.launch({ folder });
  await expect(tab(page, 'b.txt')).toHaveAttribute('aria-selected', 'true');
  await page.locator('.monaco-editor .view-lines').click();
  await page.keyboard.press('Control+w');
  await expect(tab(page, 'b.txt')).toBeHidden();
  await expect(page.locator('.monaco-editor.focused')).toContainText('a');
  await page.keyboard.press('Control+w');
  await expect(page.getByRole('tab')).toHaveCount(0);

  // Whoever is somewhere else stays there.
  await openFile(page, 'a.txt');
  await openFile(page, 'b.txt');
  await page.keyboard.press('Control+l');
  await page.keyboard.press('Control+w');
  await expect(tab(page, 'b.txt')).toBeHidden();
  await expect(page.getByRole('textbox', { name: 'Message' })).toBeFocused();
});

test('the key after the one that closes a view goes into the text', async ({ outpost, folder }) => {
  await writeFiles(folder, { 'a.txt': '' });
  const page = await outpost.launch({ folder });
  await openFile(page, 'a.txt');
  const press = await typist(page);
  const close = async (answer: Promise<void>[]) => {
    await Promise.all(answer);
    await expect(page.getByRole('dialog')).toBeHidden();
    await expect(page.getByRole('alertdialog')).toBeHidden();
  };
  await page.keyboard.type('first');
  await page.keyboard.press('Control+w');
  await expect(page.getByRole('alertdialog')).toBeVisible();
  await close([press('Escape', kEscape), press(','), press('a')]);
  for (const [keys, letter] of Object.entries({ 'Control+p': 'b', 'Control+Shift+p': 'c', 'Control+,': 'd' })) {
    await page.keyboard.press(keys);
    await expect(page.getByRole('dialog')).toBeVisible();
    await close([press('Escape', kEscape), press(letter)]);
  }
  // What was picked is done before the next key, too.
  await page.keyboard.press('Control+Shift+p');
  await page.keyboard.type('increase font');
  await expect(page.getByRole('option', { name: /increase/i })).toBeVisible();
  await close([press('Enter', kEnter), press('e')]);
  await expect.poll(() => shownText(page)).toBe('first,abcde');
});

test('a click beside what a key has just opened closes it, however soon it comes', async ({ outpost, folder }) => {
  await writeFiles(folder, { 'a.txt': 'a\n' });
  const page = await outpost.launch({ folder });
  await openFile(page, 'a.txt');
  const devices = await page.context().newCDPSession(page);
  const kControl = 2;
  for (const [key, code] of Object.entries({ p: 80, ',': 188, P: 80 })) {
    const opens = { modifiers: key === 'P' ? kControl + 8 : kControl, key, windowsVirtualKeyCode: code };
    const click = { x: 3, y: 300, button: 'left' as const, clickCount: 1 };
    await Promise.all([
      devices.send('Input.dispatchKeyEvent', { type: 'keyDown', ...opens }),
      devices.send('Input.dispatchMouseEvent', { type: 'mousePressed', ...click }),
      devices.send('Input.dispatchMouseEvent', { type: 'mouseReleased', ...click }),
      devices.send('Input.dispatchKeyEvent', { type: 'keyUp', ...opens }),
    ]);
    await expect(page.getByRole('dialog'), key).toHaveCount(0);
    await expect(page.locator('.monaco-editor.focused'), key).toBeVisible();
  }
});

test('keys that come while a file opens never change the one before it', async ({ outpost, folder }) => {
  const files = Array.from({ length: 4 }, (_, i) => `${i}.ts`);
  await writeFiles(folder, Object.fromEntries(files.map((name) => [name, 'const there = 1;\n'.repeat(2000)])));
  const page = await outpost.launch({ folder });
  await openFile(page, '0.ts');
  const press = await typist(page);
  const typed = 'typed while it opens';
  // Also what a key would meet that comes between two of our tasks.
  const shownWithFocus = await page.evaluateHandle(() => {
    const shown: string[] = [];
    document.addEventListener('focusin', ({ target }) => {
      if (!(target instanceof Element) || target.closest('.monaco-editor') === null) return;
      const note = () => shown.push(document.querySelector('[role="tab"][aria-selected="true"]')?.ariaLabel ?? '');
      const { scheduler } = window as unknown as { scheduler: { postTask: (task: () => void, how: object) => void } };
      scheduler.postTask(note, { priority: 'user-blocking' });
    });
    return shown;
  });
  for (const name of [...files.slice(1), ...files]) {
    const before = await page.getByRole('tab', { selected: true }).getAttribute('aria-label');
    await page.keyboard.press('Control+p');
    await page.keyboard.type(name);
    await page.getByRole('option', { name }).waitFor();
    await shownWithFocus.evaluate((shown) => shown.splice(0));
    await Promise.all([press('Enter', kEnter), ...[...typed].map((letter) => press(letter))]);
    await expect(page.locator('.monaco-editor.focused')).toBeVisible();
    expect(await shownWithFocus.jsonValue()).not.toContain(before);
    // What came in time is in the new file; the rest is nowhere.
    await expect(page.getByRole('tab', { selected: true })).toHaveAccessibleName(RegExp(`^${name}`));
    await expect(tab(page, before ?? '')).toBeVisible();
    await page.keyboard.press('Control+s');
    await expect(tab(page, name)).toBeVisible();
  }
});
