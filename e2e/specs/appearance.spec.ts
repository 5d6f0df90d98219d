import { expect, test, writeFiles } from '../support/app.ts';
import { violations } from '../support/axe.ts';
import { ask, openFile, replies } from '../support/window.ts';

for (const theme of ['light', 'dark'] as const) {
  test(`${theme} theme: readable, and named for assistive technology`, async ({ outpost, folder, picture }) => {
    await writeFiles(folder, {
      'src/queue.ts': `// A bounded queue.\nexport class Queue<T> {\n  readonly #items: T[] = [];\n\n  constructor(readonly capacity: number) {}\n\n  push(item: T): boolean {\n    if (this.#items.length === this.capacity) return false;\n    this.#items.push(item);\n    return true;\n  }\n}\n`,
      'src/main.py': 'print("hello")\n',
      'README.md': '# Orbit\n',
    });
    const page = await outpost.launch({ folder });
    await page.emulateMedia({ colorScheme: theme });
    await expect(page.locator('html')).toHaveAttribute('data-theme', theme);
    await outpost.waitForModel();
    await picture('welcome');
    expect(await violations(page)).toEqual([]);

    await page.getByRole('treeitem', { name: 'src' }).click();
    await openFile(page, 'queue.ts');
    await ask(page, 'Explain in two sentences what a queue is, then show a small TypeScript example in a code block.');
    await expect(replies(page)).toHaveAttribute('aria-busy', 'false', { timeout: 90_000 });
    await picture('working');
    expect(await violations(page)).toEqual([]);

    await page.keyboard.press('Control+,');
    await picture('settings');
    expect(await violations(page)).toEqual([]);
    await page.keyboard.press('Escape');

    await page.keyboard.press('Control+Shift+p');
    await picture('palette');
    expect(await violations(page)).toEqual([]);
  });
}

test('everything can be reached with the keyboard', async ({ outpost, folder }) => {
  await writeFiles(folder, { 'a.txt': 'a\n' });
  const page = await outpost.launch({ folder });
  const region = () =>
    page.evaluate(() => document.activeElement?.closest('[data-region]')?.getAttribute('data-region'));
  await page.getByRole('treeitem', { name: 'a.txt' }).waitFor();
  const seen = new Set<string>();
  for (let i = 0; i < 8; i++) {
    await page.keyboard.press('F6');
    seen.add((await region()) ?? '');
  }
  for (const name of ['title', 'explorer', 'editor', 'chat', 'status']) expect([...seen]).toContain(name);

  await page.keyboard.press('Control+p');
  await page.keyboard.type('a.txt');
  await page.getByRole('option', { name: 'a.txt' }).waitFor();
  await page.keyboard.press('Enter');
  await expect(page.getByRole('tab', { name: 'a.txt' })).toBeVisible();
  await page.keyboard.press('Control+l');
  await expect(page.getByRole('textbox', { name: 'Message' })).toBeFocused();
  await page.keyboard.press('Control+Shift+e');
  await page.keyboard.press('ArrowDown');
  await expect(page.getByRole('tree')).toBeFocused();
});
