import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test, writeFiles } from '../support/app.ts';
import { violations } from '../support/axe.ts';
import { storeConversation } from '../support/conversations.ts';
import { openFile, shownText, tab, typeAtEnd } from '../support/window.ts';

const math = `export function add(x, y) {\r
  return x + y;\r
}\r
\r
export function sub(x, y) {\r
  return x - y;\r
}\r
`;

const answer = `Both of them should check their arguments:

\`\`\`js src/math.js
export function add(x, y) {
  check(x, y);
  return x + y;
}

export function sub(x, y) {
  check(x, y);
  return x - y;
}
\`\`\`
`;

test('code of a reply is reviewed change by change, applied in one step, and on disk', async ({
  outpost,
  folder,
  picture,
}) => {
  await writeFiles(folder, { 'src/math.js': math, 'other.txt': 'other\n' });
  storeConversation(outpost.userData, 'Checks', ['Check the arguments.', answer]);
  const page = await outpost.launch({ folder, hasTinyModel: true });
  const onDisk = () => readFile(join(folder, 'src/math.js'), 'utf8');
  await openFile(page, 'other.txt');
  await page.getByRole('button', { name: 'Conversations' }).click();
  await page
    .getByRole('list', { name: 'Conversations' })
    .getByRole('button', { name: /Checks/ })
    .first()
    .click();
  const apply = page.getByRole('button', { name: 'Review and apply to the file' });
  await apply.click();

  const review = page.getByRole('region', { name: 'Review of the changes to math.js' });
  await expect(review).toContainText('Change 1 of 2');
  await expect(tab(page, 'math.js')).toHaveAttribute('aria-selected', 'true');
  await picture('review');
  for (const colorScheme of ['dark', 'light'] as const) {
    await page.emulateMedia({ colorScheme });
    expect(await violations(page)).toEqual([]);
  }
  await page.keyboard.press('Control+Enter');
  await expect(review).toContainText('Change 2 of 2');
  expect(await onDisk()).toBe(math);
  await page.keyboard.press('Control+z');
  await expect(review).toContainText('Change 1 of 2');
  await page.keyboard.press('Control+Backspace');
  await page.keyboard.press('Control+Enter');

  await expect(review).toBeHidden();
  const notes = page.getByRole('region', { name: 'Notifications' });
  await expect(notes).toContainText('1 of 2 changes applied to math.js. Saved and compared with the disk.');
  const applied = math.replace('  return x - y;', '  check(x, y);\r\n  return x - y;');
  expect(await onDisk()).toBe(applied);
  await picture('applied');

  // One step: one undo takes all of it back, and what was typed before stays.
  await expect(page.locator('.monaco-editor.focused')).toBeVisible();
  await page.keyboard.press('Control+z');
  await expect.poll(() => shownText(page)).not.toContain('check(x, y)');

  // A review that is left changes nothing, and neither does one of a text that changed meanwhile.
  await typeAtEnd(page, '// mine');
  await apply.click();
  await expect(review).toBeVisible();
  await page.keyboard.press('Escape');
  await expect(review).toBeHidden();
  await expect.poll(() => shownText(page)).toContain('// mine');
  await page.keyboard.press('Control+s');
  await expect.poll(onDisk).toBe(`${math}// mine`);
});
