import { expect, test, writeFiles } from '../support/app.ts';
import { openFile, shownText, status, typeAtEnd } from '../support/window.ts';

const source = `def add(a, b):
    return a + b


def subtract(a, b):
    return a - b


def multiply(a, b):
    return a * b


`;

test.describe('Inline completion', () => {
  test('ghost text appears, Escape dismisses it, Tab accepts it', async ({ outpost, folder, picture }) => {
    await writeFiles(folder, { 'math.py': source });
    const page = await outpost.launch({ folder });
    await outpost.waitForModel();
    await openFile(page, 'math.py');
    const ghost = page.locator('.monaco-editor .ghost-text-decoration, .monaco-editor .ghost-text').first();

    await typeAtEnd(page, 'def divide(a, b):\nreturn'); // the editor indents
    await expect(ghost).toBeVisible({ timeout: 60_000 });
    await picture('ghost text');
    await page.keyboard.press('Escape');
    await expect(ghost).toBeHidden();
    expect(await shownText(page)).toMatch(/^ {4}return$/m);

    await page.keyboard.type(' ');
    await expect(ghost).toBeVisible({ timeout: 30_000 });
    await page.keyboard.press('Tab');
    await expect.poll(() => shownText(page)).toMatch(/return a \/ b/);
    await picture('accepted');
  });

  test('the next keystroke cancels the request in the engine', async ({ outpost, folder }) => {
    // Long enough that reading it takes the engine seconds: every key but the last must give up its place.
    await writeFiles(folder, { 'long.py': source.repeat(40) });
    const page = await outpost.launch({ folder });
    await outpost.waitForModel();
    await openFile(page, 'long.py');
    await page.keyboard.press('Control+End');
    const startMs = Date.now();
    for (const key of 'def divide(a, b)') {
      await page.keyboard.type(key);
      await page.waitForTimeout(150);
    }
    await page.keyboard.type(':\n    return');
    await expect(page.locator('.monaco-editor .ghost-text-decoration, .monaco-editor .ghost-text').first()).toBeVisible(
      {
        timeout: 60_000,
      },
    );
    test.info().annotations.push({ type: 'figure', description: `shown after ${Date.now() - startMs} ms` });
  });

  test('it can be turned off', async ({ outpost, folder }) => {
    await writeFiles(folder, { 'math.py': source });
    const page = await outpost.launch({ folder });
    await outpost.waitForModel();
    await status(page)
      .getByRole('button', { name: /completion/i })
      .click();
    await expect(status(page)).toContainText('off');
  });
});
