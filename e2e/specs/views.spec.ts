// Every view in every theme: nothing that axe finds, and a picture of each. `node scripts/outpost.mjs pictures` runs this
// file and puts the pictures into docs/.
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import type { Page } from '@playwright/test';
import { expect, test, writeFiles } from '../support/app.ts';
import { violations } from '../support/axe.ts';
import { storeConversation } from '../support/conversations.ts';
import { openFile } from '../support/window.ts';

const queue = `// A bounded queue.
export class Queue<T> {
  readonly #items: T[] = [];

  constructor(readonly capacity: number) {}

  /** @return false if it is full */
  push(item: T): boolean {
    if (this.#items.length === this.capacity) return false;
    this.#items.push(item);
    return true;
  }

  get size(): number {
    return this.#items.length;
  }
}
`;

const answer = `A queue that is full should say so, and one that is **empty**, too. \`shift\` gives \`undefined\` then:

\`\`\`ts src/queue.ts
  get size(): number {
    return this.#items.length;
  }

  get isEmpty(): boolean {
    return this.#items.length === 0;
  }
}
\`\`\`

| items | isEmpty |
| ---: | --- |
| 0 | true |
| 3 | false |
`;

/** Where a command or a file is typed; a view may have combo boxes of its own. */
const pickerInput = (page: Page) => page.locator('input[role="combobox"]');

async function run(page: Page, command: string): Promise<void> {
  await page.keyboard.press('Control+Shift+p');
  await pickerInput(page).fill(command);
  await page.keyboard.press('Enter');
  await expect(pickerInput(page)).toBeHidden();
}

test('every view is readable in every theme', async ({ outpost, folder, picture }) => {
  test.setTimeout(300_000);
  // A name that may stand in a picture.
  const project = join(folder, 'orbit');
  await writeFiles(project, {
    'src/queue.ts': queue,
    'src/main.py': 'from queue import Queue\n\nqueue = Queue(3)\n',
    'README.md': '# Orbit\n',
  });
  const git = (...args: string[]) =>
    execFileSync('git', ['-c', 'user.name=A', '-c', 'user.email=a@b.c', ...args], { cwd: project });
  git('init', '--quiet', '--initial-branch=main');
  git('add', '.');
  git('commit', '--quiet', '-m', 'first');
  await writeFiles(project, { 'README.md': '# Orbit\n\nA library.\n', 'notes.md': 'new\n' });
  storeConversation(outpost.userData, 'An empty queue', ['How do I see that the queue is empty?', answer]);

  const page = await outpost.launch({ folder: project });
  await page.getByRole('treeitem', { name: 'src', exact: true }).click();
  await openFile(page, 'queue.ts');
  await page.getByRole('button', { name: 'Conversations' }).click();
  const conversations = page.getByRole('list', { name: 'Conversations' });
  await conversations
    .getByRole('button', { name: /^An empty queue/ })
    .first()
    .click();
  await outpost.waitForModel();

  const dialog = page.getByRole('dialog');
  const review = page.getByRole('region', { name: 'Review of the changes to queue.ts' });
  const open = (command: string) => async () => {
    await run(page, command);
    await expect(dialog).toBeVisible();
    return dialog;
  };
  const picker = (keys: string, text: string) => async () => {
    await page.keyboard.press(keys);
    await pickerInput(page).fill(text);
    await page.getByRole('option').first().waitFor();
    return pickerInput(page);
  };
  /** Each shows a view and gives what Escape takes away again; null for what stays. */
  const views: [string, () => Promise<ReturnType<Page['locator']> | null>][] = [
    ['explorer', () => page.keyboard.press('Control+Shift+e').then(() => null)],
    ['settings', open('Settings: Settings')],
    [
      'settings-context',
      async () => {
        const settings = await open('Settings: Settings')();
        await settings.getByRole('searchbox').fill('context');
        await expect(settings.getByText('Memory of the context')).toBeInViewport();
        return settings;
      },
    ],
    ['keys', open('Keyboard Shortcuts')],
    ['json', open('Edit the Settings as JSON')],
    ['connections', open('Show Connections')],
    ['latency', open('Show the Latency of Suggestions')],
    ['activity', open('Show What Runs')],
    ['first-steps', open('Show the First Steps')],
    [
      'models',
      async () => {
        const models = await open('Models')();
        await expect(models.getByRole('article')).toContainText('TinyLlama');
        return models;
      },
    ],
    ['palette', picker('Control+Shift+p', 'chat')],
    ['quick-open', picker('Control+p', 'que')],
    [
      'review',
      async () => {
        await page.getByRole('button', { name: 'Review and apply to the file' }).click();
        await expect(review).toContainText('Change 1');
        return review;
      },
    ],
    [
      'search',
      async () => {
        await page.keyboard.press('Control+Shift+f');
        await page.getByRole('textbox', { name: 'Search in files' }).fill('queue');
        await expect(page.getByRole('search')).toContainText('matches in');
        return null;
      },
    ],
    [
      'work',
      async () => {
        await page.keyboard.press('Control+Shift+g');
        await expect(page.getByRole('region', { name: 'Source control' }).getByText('Changes')).toBeVisible();
        const terminal = page.getByRole('region', { name: 'Terminal' });
        if (await terminal.isVisible()) return null;
        await page.keyboard.press('Control+`');
        // A prompt without the machine's names.
        await page.keyboard.type("PS1='$ '; clear; git status --short\n");
        await expect(terminal.locator('.xterm-accessibility-tree')).toContainText('notes.md');
        return null;
      },
    ],
  ];
  for (const theme of ['light', 'dark', 'contrast'] as const) {
    if (theme === 'contrast') await run(page, 'Switch High Contrast');
    else await page.emulateMedia({ colorScheme: theme });
    await expect(page.locator('html')).toHaveAttribute('data-theme', theme);
    for (const [name, show] of views) {
      const shown = await show();
      // Where things lie on this machine is nobody's business.
      await picture(`${name} ${theme}`, [page.getByText(/\.gguf \(/), page.getByText(/[\\/].* free$/)]);
      expect(await violations(page), `${name}, ${theme}`).toEqual([]);
      if (shown === null) continue;
      await page.keyboard.press('Escape');
      await expect(shown).toBeHidden();
    }
  }
});
