import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test, writeFiles } from '../support/app.ts';
import { modelCard, openModelCard } from '../support/models.ts';
import { openFile, shownText, status, typeAtEnd } from '../support/window.ts';

const source = `def add(a, b):
    return a + b


def subtract(a, b):
    return a - b


def multiply(a, b):
    return a * b


`;
/** One more function, open where its body begins: what is typed there is at its place whether or not the editor indents. */
const begun = (head: string) => `${source}${head}\n    `;

test.describe('Inline completion', () => {
  test('ghost text appears, Escape dismisses it, Tab accepts it; it can be turned off', async ({
    outpost,
    folder,
    picture,
  }) => {
    await writeFiles(folder, {
      'math.py': begun('def divide(a, b):'),
      'more.py': begun('def average(a, b, c):'),
    });
    const page = await outpost.launch({ folder });
    await outpost.waitForModel();
    await openFile(page, 'math.py');
    const ghost = page.locator('.monaco-editor .ghost-text-decoration, .monaco-editor .ghost-text').first();

    await typeAtEnd(page, 'return');
    await expect(ghost).toBeVisible({ timeout: 60_000 });
    await picture('ghost text');
    await page.keyboard.press('Escape');
    await expect(ghost).toBeHidden();
    expect(await shownText(page)).toMatch(/^ {4}return$/m);

    await page.keyboard.type(' ');
    await expect(ghost).toBeVisible({ timeout: 30_000 });
    const suggested = (await ghost.innerText()).replaceAll('\u00a0', ' ').trimEnd();
    expect(suggested).toMatch(/\w/);
    await page.keyboard.press('Tab');
    // What the window shows includes what is only suggested, so the files say what was taken.
    const saved = async (name: string) => {
      await page.keyboard.press('Control+s');
      return readFile(join(folder, name), 'utf8');
    };
    await expect.poll(() => saved('math.py')).toContain(`def divide(a, b):\n    return ${suggested}`);
    await picture('accepted');

    // A word of another one, and then the rest of its line.
    await openFile(page, 'more.py');
    await typeAtEnd(page, 'return ');
    await expect(ghost).toBeVisible({ timeout: 30_000 });
    const line = (await ghost.innerText()).replaceAll('\u00a0', ' ').trimEnd();
    const taken = async () => (await saved('more.py')).split('average(a, b, c):\n    return ')[1]?.trimEnd() ?? '';
    await page.keyboard.press('Control+ArrowRight');
    await expect.poll(taken).not.toBe('');
    const word = await taken();
    expect(line.startsWith(word)).toBe(true);
    expect(word.length).toBeLessThan(line.length);
    await page.keyboard.press('Control+Alt+ArrowRight');
    await expect.poll(taken).toBe(line);

    // The model that wrote it is loaded beside that of the chat, and fills gaps.
    await page.keyboard.press('Control+Shift+m');
    const models = page.getByRole('dialog', { name: 'Models' });
    const own = models.getByRole('button', { name: /^Outpost Code .*Completion/s });
    await expect(own).toContainText('Loaded');
    await own.click();
    await models.getByRole('button', { name: 'Try Out' }).click();
    await expect(models).toContainText('It fills the gap in', { timeout: 60_000 });
    await page.keyboard.press('Escape');

    await status(page)
      .getByRole('button', { name: /completion/i })
      .click();
    await expect(status(page)).toContainText('off');
  });

  test('the latency panel tells where the time of each suggestion went', async ({ outpost, folder, picture }) => {
    await writeFiles(folder, { 'math.py': source.repeat(3) + begun('def divide(a, b):'), 'other.py': 'LIMIT = 3\n' });
    const page = await outpost.launch({ folder });
    await outpost.waitForModel();
    await openFile(page, 'other.py');
    await openFile(page, 'math.py');
    const ghost = page.locator('.monaco-editor .ghost-text-decoration, .monaco-editor .ghost-text').first();
    await typeAtEnd(page, 'return ');
    await expect(ghost).toBeVisible({ timeout: 60_000 });
    const suggested = await ghost.innerText();
    await page.keyboard.type(suggested.slice(0, 1)); // along it
    await expect(ghost).toBeVisible();
    await page.keyboard.press('Control+End');
    await page.keyboard.type('\n');
    const chip = status(page).getByRole('button', { name: /^Inline completion/ });
    const panel = page.getByRole('dialog', { name: 'Latency of Suggestions' });
    // One that comes by itself meanwhile may take its place.
    await expect(async () => {
      await page.keyboard.press('Alt+\\');
      await expect(chip).not.toHaveAccessibleName(/thinking/, { timeout: 30_000 });
      await page.keyboard.press('Control+Shift+p');
      await page.getByRole('combobox').fill('Show the Latency of Suggestions');
      await page.keyboard.press('Enter');
      await expect(panel).toBeVisible();
      if ((await panel.getByRole('row').filter({ hasText: 'Asked for' }).count()) > 0) return;
      await page.keyboard.press('Escape');
      throw new Error('It was not asked for yet.');
    }).toPass({ timeout: 60_000 });
    await expect(panel).toContainText(/Written by the engine: \d.* and \d.* of \d/);
    await picture('latency');
    const heads = await panel.getByRole('columnheader').allInnerTexts();
    const rows = await panel
      .getByRole('row')
      .filter({ has: page.getByRole('cell') })
      .all();
    const table = await Promise.all(
      rows.map(async (row) => {
        const cells = await row.getByRole('cell').allInnerTexts();
        return Object.fromEntries(heads.map((head, i) => [head, cells[i] ?? '']));
      }),
    );
    const shown = table.filter(({ Outcome }) => Outcome === 'Shown').at(-1);
    const ms = /^\d+(\.\d)? m?s/;
    expect(shown).toMatchObject({ File: 'math.py', Trigger: 'Typing' });
    for (const head of ['All', 'Wait', 'Filter', 'Paint']) expect(shown?.[head], head).toMatch(ms);
    expect(shown?.Context).toMatch(/ms, \d+ parts? of other files$/);
    expect(shown?.Prefill).toMatch(/m?s, \d+ new of \d+$/);
    expect(shown?.Decode).toMatch(/m?s, \d+ tokens?$/);
    expect(table.some(({ Trigger }) => Trigger === 'Asked for')).toBe(true);
    // What the first request had read is not read again by the last.
    const read = table.map(({ Prefill = '' }) => /(\d+) new of (\d+)/.exec(Prefill)?.slice(1).map(Number) ?? []);
    const [nNew = 0, nAll = 0] = read.find((found) => found.length > 0) ?? [];
    expect(nAll).toBeGreaterThan(0);
    expect(nNew).toBeLessThan(nAll);
  });

  test('it comes inside of a line, too, and is shown what another file has of the kind', async ({
    outpost,
    folder,
  }) => {
    await writeFiles(folder, {
      'math.py': `${source}total = add(, 3)\n`,
      'lib/vectors.py': source.replaceAll('a, b', 'a, b, c').replaceAll('a +', 'a + c +'),
      'lib/vectors.txt': source,
    });
    const page = await outpost.launch({ folder });
    await outpost.waitForModel();
    await page.keyboard.press('Control+Shift+m');
    const models = page.getByRole('dialog', { name: 'Models' });
    await expect(models.getByRole('button', { name: /^Outpost Code .*Completion/s })).toContainText('Loaded');
    await page.keyboard.press('Escape');
    await openFile(page, 'math.py');
    const chip = status(page).getByRole('button', { name: /^Inline completion/ });
    const panel = page.getByRole('dialog', { name: 'Latency of Suggestions' });
    // The other file is looked for when the cursor has settled.
    await expect(async () => {
      await page.keyboard.press('Control+g');
      await page.keyboard.type('13:13');
      await page.keyboard.press('Enter');
      await expect(status(page)).toContainText('Ln 13, Col 13');
      // Another argument in front of what is there: inside of a word nothing is suggested.
      await page.keyboard.type(',');
      await page.keyboard.press('ArrowLeft');
      await page.keyboard.type('t');
      // Monaco asks a moment after the key. Whether the answer is sure enough to be shown is not what counts here.
      await page.waitForTimeout(1500);
      await expect(chip).toHaveAccessibleName(/suggestion took|not sure|suggested nothing|dropped/, {
        timeout: 30_000,
      });
      await page.keyboard.press('Control+Shift+p');
      await page.getByRole('combobox').fill('Show the Latency of Suggestions');
      await page.keyboard.press('Enter');
      await expect(panel).toBeVisible();
      const n = await panel.getByRole('row').filter({ hasText: '1 part of other files' }).count();
      await page.keyboard.press('Escape');
      expect(n).toBeGreaterThan(0);
    }).toPass({ timeout: 60_000 });
  });

  test('a block ends where the file goes on', async ({ outpost, folder, picture }) => {
    const queue = (body: string) => `export class Queue {
  constructor() {
    this.items = [];
  }

  push(item) {
    this.items.push(item);
  }

  pop() {
${body}
  }

  get length() {
    return this.items.length;
  }
}
`;
    await writeFiles(folder, { 'queue.js': queue('    ') });
    const page = await outpost.launch({ folder });
    await outpost.waitForModel();
    await openFile(page, 'queue.js');
    const ghost = page.locator('.monaco-editor .ghost-text-decoration, .monaco-editor .ghost-text').first();
    await page.keyboard.press('Control+g');
    await page.keyboard.type('11:5');
    await page.keyboard.press('Enter');
    await expect(status(page)).toContainText('Ln 11, Col 5');
    await page.keyboard.press('Alt+\\');
    await expect(ghost).toBeVisible({ timeout: 60_000 });
    await picture('block');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Control+s');
    // Left to itself the model closes the method once more, and goes on with others.
    const saved = () => readFile(join(folder, 'queue.js'), 'utf8');
    const bodyOf = (text: string) => text.split('  pop() {\n')[1]?.split('\n  }\n')[0] ?? '';
    await expect.poll(async () => bodyOf(await saved())).toMatch(/\S/);
    const text = await saved();
    expect(bodyOf(text)).toMatch(/^(?: {4}.*(?:\n|$))+$/);
    expect(text).toBe(queue(bodyOf(text)));
  });

  test('the next keystroke cancels the request in the engine', async ({ outpost, folder }) => {
    await writeFiles(folder, { 'long.py': source.repeat(40) });
    const page = await outpost.launch({ folder });
    await outpost.waitForModel();
    // The model of the chat, as it takes seconds to read what the small one has read between two looks at the engine.
    await openModelCard(page, /^TinyLlama/);
    await modelCard(page).getByRole('button', { name: 'Inline completion' }).click();
    await expect(modelCard(page).getByRole('button', { name: 'Inline completion' })).toHaveAttribute(
      'aria-pressed',
      'true',
    );
    await page.keyboard.press('Escape');
    await openFile(page, 'long.py');
    await typeAtEnd(page, 'def divide(a, b):');
    const before = await outpost.engineSeconds();
    await expect.poll(async () => (await outpost.engineSeconds()) - before).toBeGreaterThan(0.3);

    // Inside a line nothing is asked for, so all work that goes on would be that of the old request.
    await page.keyboard.press('Control+Home');
    await page.keyboard.type('x');
    // A slice of the prompt, which takes longer on a machine that is busy, and the way of the message.
    await page.waitForTimeout(1500);
    const cancelled = await outpost.engineSeconds();
    await page.waitForTimeout(1500);
    expect((await outpost.engineSeconds()) - cancelled).toBeLessThan(0.2);
  });
});
