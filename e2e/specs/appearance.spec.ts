import { expect, test, writeFiles } from '../support/app.ts';
import { violations } from '../support/axe.ts';
import { storeConversation } from '../support/conversations.ts';
import { ask, file, openFile, replies, tab } from '../support/window.ts';

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
  // What a screen reader is given while the reply grows.
  await page.evaluate(() => {
    const said: string[] = [];
    Object.assign(window, { said });
    const live = document.querySelector('[data-region="chat"] p[aria-live="polite"]');
    if (live) {
      new MutationObserver(() => said.push(live.textContent ?? '')).observe(live, {
        characterData: true,
        childList: true,
        subtree: true,
      });
    }
  });
  await ask(page, 'Explain in two sentences what a queue is, then show a small TypeScript example in a code block.');
  await expect(replies(page)).toHaveAttribute('aria-busy', 'false', { timeout: 90_000 });
  const said = () => page.evaluate(() => (window as unknown as { said: string[] }).said);
  await expect.poll(async () => (await said()).at(-1)).toMatch(/End of reply\.$/);
  const spoken = await said();
  const words = (await replies(page).innerText()).split(/\s+/).length;
  expect(spoken.length).toBeLessThan(words / 2); // sentences, not tokens
  expect(spoken.join(' ')).not.toContain('```');
  expect(spoken.join(' ')).toContain((await replies(page).locator('p').first().innerText()).split(/[.:!?]/)[0]?.trim());
  await look('working');
});

test('a theme switch colours the open file and the code of the chat at once', async ({ outpost, folder }) => {
  const code = 'export class Queue {}\n';
  await writeFiles(folder, { 'queue.ts': code });
  storeConversation(outpost.userData, 'Queue', ['Show one.', `\`\`\`ts\n${code}\`\`\``]);
  const page = await outpost.launch({ folder, hasTinyModel: true });
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
  const page = await outpost.launch({ folder, hasTinyModel: true });
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

test('who wants less motion gets none: no animation, no scrolling in steps, no blinking cursor', async ({
  outpost,
  folder,
}) => {
  await writeFiles(folder, { 'long.txt': Array.from({ length: 2000 }, (_, i) => `line ${i}\n`).join('') });
  const page = await outpost.launch({ folder, hasTinyModel: true });
  await openFile(page, 'long.txt');
  /** How many places the text stands at on its way over a page. */
  const steps = async () => {
    await page.locator('.monaco-editor .view-lines').click();
    await page.keyboard.press('Control+Home');
    await page.keyboard.press('PageDown'); // the first moves the cursor only
    await page.waitForTimeout(600);
    await page.evaluate(() => {
      const seen = new Set<number>();
      const lines = document.querySelector('.monaco-editor .lines-content');
      const look = () => {
        seen.add(lines?.getBoundingClientRect().top ?? 0);
        Object.assign(window, { nPlaces: seen.size - 1 });
        requestAnimationFrame(look);
      };
      look();
    });
    await page.keyboard.press('PageDown');
    await page.waitForTimeout(600);
    return page.evaluate(() => (window as unknown as { nPlaces: number }).nPlaces);
  };
  const durations = async () => {
    await page.keyboard.press('Control+Shift+p');
    const picker = page.getByRole('dialog', { name: 'Command palette' });
    await picker.getByRole('combobox').fill('Settings: Settings');
    await page.keyboard.press('Enter');
    const dialog = page.getByRole('dialog', { name: 'Settings' });
    const found = await dialog.evaluate((element) =>
      [element, ...element.querySelectorAll('*')].flatMap((part) => {
        const { animationName, animationDuration, transitionDuration } = getComputedStyle(part);
        return [...(animationName === 'none' ? [] : [animationDuration]), ...transitionDuration.split(', ')];
      }),
    );
    await page.keyboard.press('Escape');
    await expect(dialog).toBeHidden();
    return Math.max(...found.map(Number.parseFloat));
  };
  // What the same looks like for everybody else.
  expect(await durations()).toBeGreaterThanOrEqual(0.1);
  await expect.poll(steps).toBeGreaterThan(1);

  await page.emulateMedia({ reducedMotion: 'reduce' });
  expect(await durations()).toBeLessThan(0.001);
  expect(await steps()).toBe(1);
  await expect(page.locator('.monaco-editor .cursors-layer').first()).toHaveClass(/cursor-solid/);
});

test('in a narrow window, or a large one shown three times as large, nothing of the title bar or of the active tab is covered', async ({
  outpost,
  folder,
  picture,
}) => {
  const names = Array.from({ length: 12 }, (_, i) => `file-${i}.txt`);
  await writeFiles(folder, Object.fromEntries(names.map((name) => [name, 'a\n'])));
  const page = await outpost.launch({ folder, hasTinyModel: true });
  // Beside the last of many tabs is the button that closes it.
  for (const name of names) await file(page, name).click();
  const close = page
    .getByRole('tablist')
    .locator('div', { has: tab(page, 'file-11.txt') })
    .getByTitle('Close');
  await expect(close).toBeInViewport({ ratio: 1 });
  for (const width of [640, 453]) {
    await page.setViewportSize({ width, height: 400 });
    await expect(close).toBeInViewport({ ratio: 1 });
    for (const name of ['Explorer', 'Search in files', 'Source control', 'Settings', 'Chat']) {
      await page.getByRole('banner').getByRole('button', { name, exact: true }).click({ trial: true });
    }
    const end = (box: { x: number; width: number } | null) => (box?.x ?? 0) + (box?.width ?? 0);
    const folderName = await page.getByRole('banner').getByRole('heading').boundingBox();
    const search = await page.getByRole('banner').getByRole('button', { name: 'Go to file' }).boundingBox();
    expect(end(folderName)).toBeLessThanOrEqual(search?.x ?? 0);
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme });
      await picture(`${width} wide ${colorScheme}`);
    }
  }
});
