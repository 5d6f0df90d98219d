import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test, writeFiles } from '../support/app.ts';
import { violations } from '../support/axe.ts';
import { storeConversation } from '../support/conversations.ts';
import { ask, message, openFile, replies, stopButton } from '../support/window.ts';

test('attach a file, queue a question, branch, search and export', async ({ outpost, folder, picture }) => {
  await writeFiles(folder, { 'src/secret.py': 'PASSWORD = "xyzzy"\n', 'README.md': '# x\n' });
  storeConversation(outpost.userData, 'Lighthouses', ['Which lamp?', 'A Fresnel lens, of course.']);
  const page = await outpost.launch({ folder });
  await outpost.waitForModel();
  await page.getByRole('treeitem', { name: 'src' }).click();
  await openFile(page, 'secret.py');

  await page.getByRole('button', { name: 'Attach', exact: true }).click();
  await page.getByRole('menuitem', { name: 'Attach This File' }).click();
  await expect(page.getByRole('list', { name: 'Attachments' })).toContainText('src/secret.py');
  await expect(page.getByRole('meter', { name: 'Context used' })).toBeVisible();
  await picture('attached');
  expect(await violations(page)).toEqual([]);
  await ask(page, 'Write a long story about this file.');
  await expect(page.getByRole('article', { name: 'Your question' })).toContainText('src/secret.py');
  await expect.poll(async () => (await replies(page).innerText()).length, { timeout: 30_000 }).toBeGreaterThan(10);

  const stopSecond = async () => {
    await expect
      .poll(async () => (await replies(page).nth(1).innerText()).length, { timeout: 60_000 })
      .toBeGreaterThan(5);
    await stopButton(page).click();
    await expect(replies(page).nth(1)).toHaveAttribute('aria-busy', 'false');
  };

  await ask(page, 'Write a long story about a lamp.');
  const waiting = page.getByRole('list', { name: 'Questions that wait' });
  await expect(waiting).toContainText('Write a long story about a lamp.');
  await picture('queued');
  await stopButton(page).click();
  await expect(waiting).toBeHidden();
  await expect(page.getByRole('article', { name: 'Your question' })).toHaveCount(2);
  await stopSecond();

  const second = page.getByRole('article', { name: 'Your question' }).nth(1);
  await second.hover();
  await second.getByRole('button', { name: 'Edit and send again' }).click();
  await page.getByRole('textbox', { name: 'Edit the question' }).fill('Write a long story about a ship.');
  await page.keyboard.press('Enter');
  await expect(second).toContainText('Write a long story about a ship.');
  await expect(second).toContainText('2 / 2');
  await stopSecond();
  await second.getByRole('button', { name: 'Earlier question' }).click();
  await expect(second).toContainText('Write a long story about a lamp.');
  await picture('branch');
  expect(await violations(page)).toEqual([]);

  const target = join(folder, 'exported.json');
  await outpost.inMain(({ dialog }, filePath) => {
    dialog.showSaveDialog = async () => ({ canceled: false, filePath });
  }, target);
  await page.getByRole('button', { name: 'Export' }).click();
  await page.getByRole('menuitem', { name: 'Export as JSON…' }).click();
  await expect(page.getByRole('region', { name: 'Notifications' })).toContainText('exported.json');
  const exported = JSON.parse(await readFile(target, 'utf8'));
  const said = exported.messages.map(({ content }: { content: string }) => content);
  expect(said).toContain('Write a long story about a lamp.');
  expect(said).toContain('Write a long story about a ship.');
  expect(exported.messages[0].attachments[0].text).toContain('xyzzy');

  await page.getByRole('button', { name: 'Conversations' }).click();
  await page.getByRole('textbox', { name: 'Search conversations' }).fill('fresnel');
  const list = page.getByRole('list', { name: 'Conversations' });
  await expect(list.getByRole('listitem')).toHaveCount(1);
  await expect(list).toContainText('Lighthouses');
  await page.keyboard.press('Escape');
});

test('a conversation of a thousand messages is drawn where it is looked at', async ({ outpost, picture }) => {
  const texts = Array.from({ length: 1000 }, (_, i) =>
    i % 2 === 0
      ? `Question ${i}`
      : `Answer **${i}**\n\n\`\`\`ts\nexport const answer${i} = ${i};\n\`\`\`\n\n- one\n- two\n`,
  );
  storeConversation(outpost.userData, 'Long', texts);
  const page = await outpost.launch({ hasTinyModel: true });
  await page.getByRole('button', { name: 'Conversations' }).click();
  await page.getByRole('list', { name: 'Conversations' }).getByRole('button', { name: /^Long/ }).click();
  await expect(replies(page)).toHaveCount(500);
  await expect(replies(page).last()).toContainText('Answer 999');
  await picture('thousand');
  // Coloured code is that near the view, not all five hundred blocks.
  const nColoured = () =>
    page.locator('pre code [class^="mtk"]').evaluateAll((all) => new Set(all.map((e) => e.closest('pre'))).size);
  await expect.poll(nColoured).toBeGreaterThan(0);
  expect(await nColoured()).toBeLessThan(40);

  const frames = await page.evaluate(async () => {
    const log = document.querySelector('[role="log"]');
    const times: number[] = [];
    let last = performance.now();
    for (let i = 0; i < 60; i++) {
      if (log) log.scrollTop -= 400;
      await new Promise((resolve) => requestAnimationFrame(resolve));
      times.push(performance.now() - last);
      last = performance.now();
    }
    return times.sort((a, b) => a - b);
  });
  test
    .info()
    .annotations.push({ type: 'frames while scrolling, ms', description: `p50 ${frames[30]}, p95 ${frames[57]}` });
  await expect(message(page)).toBeEnabled();
});

test('what a model thought before it answered is folded, and is not part of the answer', async ({
  outpost,
  picture,
}) => {
  const thought = 'They want a **sum**. <img src=x onerror="document.title=1">';
  storeConversation(outpost.userData, 'Sum', ['What is 2 + 2?', `<think>\n${thought}\n</think>\n\nIt is 4.`]);
  const page = await outpost.launch({ hasTinyModel: true });
  await page.getByRole('button', { name: 'Conversations' }).click();
  await page.getByRole('list', { name: 'Conversations' }).getByRole('button', { name: /^Sum/ }).first().click();
  await expect(replies(page)).toContainText('It is 4.');
  await expect(replies(page)).not.toContainText('think>');
  await expect(replies(page).getByText('They want a')).toBeHidden();
  const fold = replies(page).locator('summary');
  await expect(fold).toHaveText(/^Thought · \d+ words$/);
  await fold.focus();
  await page.keyboard.press('Enter');
  await expect(replies(page).locator('strong')).toHaveText('sum');
  await picture('thought');
  expect(await replies(page).locator('img').count()).toBe(0);
  for (const colorScheme of ['dark', 'light'] as const) {
    await page.emulateMedia({ colorScheme });
    expect(await violations(page)).toEqual([]);
  }
  await page.keyboard.press('Enter');
  await expect(replies(page).locator('strong')).toBeHidden();
});
