import { expect, test, writeFiles } from '../support/app.ts';
import { violations } from '../support/axe.ts';
import { storeConversation } from '../support/conversations.ts';
import { ask, openFile, replies } from '../support/window.ts';

test('readable, and named for assistive technology, from the welcome to a reply', async ({
  outpost,
  folder,
  picture,
}) => {
  await writeFiles(folder, {
    'src/queue.ts': `// A bounded queue.\nexport class Queue<T> {\n  readonly #items: T[] = [];\n\n  constructor(readonly capacity: number) {}\n\n  push(item: T): boolean {\n    if (this.#items.length === this.capacity) return false;\n    this.#items.push(item);\n    return true;\n  }\n}\n`,
    'src/main.py': 'print("hello")\n',
    'README.md': '# Orbit\n',
  });
  const page = await outpost.launch({ folder });
  const look = async (view: string) => {
    for (const theme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme: theme });
      await expect(page.locator('html')).toHaveAttribute('data-theme', theme);
      await picture(`${view} ${theme}`);
      expect(await violations(page), `${view}, ${theme}`).toEqual([]);
    }
  };
  await outpost.waitForModel();
  await look('welcome');
  await page.getByRole('treeitem', { name: 'src' }).click();
  await openFile(page, 'queue.ts');
  await ask(page, 'Explain in two sentences what a queue is, then show a small TypeScript example in a code block.');
  await expect(replies(page)).toHaveAttribute('aria-busy', 'false', { timeout: 90_000 });
  await look('working');
});

test('a theme switch colours the open file and the code of the chat at once', async ({ outpost, folder }) => {
  const code = 'export class Queue {}\n';
  await writeFiles(folder, { 'queue.ts': code });
  storeConversation(outpost.userData, 'Queue', ['Show one.', `\`\`\`ts\n${code}\`\`\``]);
  const page = await outpost.launch({ folder });
  await page.getByRole('button', { name: 'Conversations' }).click();
  const list = page.getByRole('list', { name: 'Conversations' });
  await list
    .getByRole('button', { name: /^Queue/ })
    .first()
    .click();
  await openFile(page, 'queue.ts');
  const keyword = /rgb\(138, 58, 185\)/;
  const inChat = replies(page).locator('code span', { hasText: /^export$/ });
  const inEditor = page.locator('.view-line span span', { hasText: /^export$/ });
  for (const place of [inChat, inEditor]) await expect(place).toHaveCSS('color', keyword);

  // The first picture that is drawn after the switch counts, not the one after the background tokenizer's next turn.
  await page.evaluate(() => {
    const colours: string[] = [];
    Object.assign(window, { colours });
    new MutationObserver(() => {
      requestAnimationFrame(() =>
        setTimeout(() => {
          const places = document.querySelectorAll('article code span, .view-line span span');
          const found = [...places].filter(({ textContent }) => textContent === 'export');
          colours.push(...found.map((place) => getComputedStyle(place).color));
        }),
      );
    }).observe(document.documentElement, { attributeFilter: ['data-theme'] });
  });
  await page.emulateMedia({ colorScheme: 'dark' });
  const colours = () => page.evaluate(() => (window as unknown as { colours: string[] }).colours);
  await expect.poll(colours).not.toEqual([]);
  expect(await colours()).toEqual(['rgb(196, 155, 232)', 'rgb(196, 155, 232)']);
});

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
