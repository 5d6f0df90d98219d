import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { canMountDisks, mountDisk } from '../../electron/testing/mounted-disk.ts';
import { expect, test } from '../support/app.ts';
import { ask, message, replies, status, stopButton } from '../support/window.ts';

const run = promisify(execFile);

/** A reply without regard to how lines are broken, and without the button that only the last one has. */
const words = (text: string) =>
  text
    .replace(/Regenerate\s*$/, '')
    .trim()
    .split(/\s+/)
    .join(' ');

test.describe('Chat', () => {
  test('ask, watch the answer grow, stop it, find it again after a restart', async ({ outpost, picture }) => {
    let page = await outpost.launch();
    await outpost.waitForModel();
    await ask(page, 'Write a Python function that adds two numbers. Show the code in a code block.');
    await expect(replies(page)).toHaveAttribute('aria-busy', 'true');
    await expect(page.getByText(/tok\/s/).first()).toBeVisible();
    await picture('streaming');
    await expect(replies(page)).toHaveAttribute('aria-busy', 'false', { timeout: 90_000 });
    const first = await replies(page).innerText();
    expect(first.length).toBeGreaterThan(20);
    expect(first).toMatch(/\d tok\/s · \d+ tokens/);
    await expect(page.getByRole('meter', { name: 'Context used' })).toBeVisible();
    await picture('answered');

    await ask(page, 'Count slowly from one to one hundred in words.');
    await expect(replies(page)).toHaveCount(2);
    const second = replies(page).nth(1);
    await expect.poll(async () => (await second.innerText()).length).toBeGreaterThan(10);
    await stopButton(page).click();
    await expect(second).toContainText('Stopped');
    const stopped = await second.innerText();
    await page.waitForTimeout(1000); // long enough for some thirty tokens, were the engine still at work
    expect(await second.innerText()).toBe(stopped);
    await picture('stopped');

    await outpost.close();
    page = await outpost.launch();
    await expect(replies(page)).toHaveCount(2);
    expect(words(await replies(page).first().innerText())).toBe(words(first));
    await expect(replies(page).nth(1)).toContainText('Stopped');
    await picture('after a restart');
  });

  test('Escape stops a reply, the next is answered, and one that a power cut ended has what was said', async ({
    outpost,
    picture,
  }) => {
    let page = await outpost.launch();
    // Asked as soon as the engine runs, which is most likely still loading: the question waits.
    await expect(page.getByText('A question waits for it.').or(status(page).getByText('TinyLlama'))).toBeVisible();
    await ask(page, 'Tell me a very long story about a lighthouse.');
    await expect(replies(page)).toHaveAttribute('aria-busy', 'true');
    await picture('asked while the model is loading');
    await expect.poll(async () => (await replies(page).innerText()).length).toBeGreaterThan(10);
    await message(page).press('Escape');
    await expect(replies(page)).toContainText('Stopped');

    await ask(page, 'Tell me a very long story about the sea.');
    const second = () => replies(page).nth(1);
    await expect.poll(async () => (await second().innerText()).length, { timeout: 30_000 }).toBeGreaterThan(40); // early: a reply may be short
    const seen = (await second().innerText()).slice(0, 30);
    await page.waitForTimeout(1200); // a running reply is stored about every second
    await outpost.kill();
    page = await outpost.launch();
    await expect(second()).toContainText('The app ended during this reply.');
    await expect(second()).toContainText(seen);
  });

  test('a question that is too long says so, and the next one is asked all the same', async ({ outpost, picture }) => {
    const page = await outpost.launch({ hasTinyModel: true });
    await expect(status(page)).toContainText('ready');
    await ask(page, 'word '.repeat(60_000));
    await expect(replies(page)).toContainText('Shorten the message');
    await expect(page.getByRole('article', { name: 'Your question' })).toContainText('more characters)');
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme });
      await picture(`too long ${colorScheme}`);
    }
    await ask(page, 'Hi');
    await expect(replies(page).nth(1)).toHaveAttribute('aria-busy', 'false');
    await expect(replies(page).nth(1)).not.toContainText('Shorten the message');

    // So long that nothing could take it: it stays where it is typed.
    await message(page).fill('word '.repeat(210_000));
    await expect(page.getByText('this one has 1,050,000.')).toBeVisible();
    await page.keyboard.press('Enter');
    await expect(page.getByRole('button', { name: 'Send', exact: true })).toBeDisabled();
    expect((await message(page).inputValue()).length).toBe(1_050_000);
  });

  test('a question that a full disk cannot keep comes back to where it was typed', async ({ outpost, picture }) => {
    test.skip(!canMountDisks(), 'No disk can be mounted here.');
    const unmount = mountDisk(outpost.userData, 'size=16m');
    try {
      const page = await outpost.launch({ hasTinyModel: true });
      await expect(status(page)).toContainText('ready');
      await run('dd', ['if=/dev/zero', `of=${join(outpost.userData, 'filler')}`, 'bs=1k']).catch(() => {});
      await ask(page, `Why? ${'word '.repeat(2000)}`);
      await expect(page.getByText('could not be stored: the disk is full')).toBeVisible();
      await expect(message(page)).toHaveValue(/^Why\? word/);
      for (const colorScheme of ['light', 'dark'] as const) {
        await page.emulateMedia({ colorScheme });
        await picture(`full disk ${colorScheme}`);
      }
      await outpost.kill();
    } finally {
      unmount();
    }
  });
});
