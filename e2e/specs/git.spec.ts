import { execFileSync } from 'node:child_process';
import { expect, test, writeFiles } from '../support/app.ts';
import { violations } from '../support/axe.ts';
import { shownText } from '../support/window.ts';

test('what changed is marked, compared, committed and discarded, in all themes', async ({
  outpost,
  folder,
  picture,
}) => {
  const git = (...args: string[]) => execFileSync('git', args, { cwd: folder, encoding: 'utf8' });
  await writeFiles(folder, { 'src/a.ts': 'export const a = 1;\n', 'b.ts': 'export const b = 1;\n' });
  git('init', '--quiet', '--initial-branch=main');
  git('config', 'user.name', 'A');
  git('config', 'user.email', 'a@b.c');
  git('add', '.');
  git('commit', '--quiet', '-m', 'first');
  await writeFiles(folder, { 'src/a.ts': 'export const a = 2;\n', 'b.ts': 'broken\n', 'new.ts': 'export {};\n' });
  // A repository of somebody else: it must not run a thing.
  git('config', 'core.fsmonitor', `touch ${folder}-was-run; false`);

  const page = await outpost.launch({ folder, hasTinyModel: true });
  await expect(page.getByRole('treeitem', { name: 'b.ts, modified' })).toBeVisible();
  await expect(page.getByRole('treeitem', { name: 'new.ts, untracked' })).toBeVisible();

  await page.keyboard.press('Control+Shift+g');
  const panel = page.getByRole('region', { name: 'Source control' });
  await panel.getByRole('button', { name: 'a.ts src, modified' }).click();
  await expect(page.getByRole('region', { name: 'a.ts and the last commit' })).toBeVisible();
  for (const theme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme: theme });
    await picture(`changes ${theme}`);
    expect(await violations(page)).toEqual([]);
  }
  await page.keyboard.press('Escape');

  await panel.getByRole('button', { name: 'Stage src/a.ts' }).click();
  await expect(panel.getByRole('button', { name: 'Unstage src/a.ts' })).toBeVisible();
  await panel.getByRole('textbox', { name: 'Commit message' }).fill('Second');
  await page.keyboard.press('Control+Enter');
  await expect(panel.getByRole('button', { name: 'Unstage src/a.ts' })).toBeHidden();
  expect(git('log', '-1', '--format=%s', '--stat')).toMatch(/^Second\n\n src\/a\.ts/);

  // Discarding asks first, and an open file follows.
  await panel.getByRole('button', { name: 'b.ts, modified' }).click();
  await page.keyboard.press('Escape');
  await panel.getByRole('button', { name: 'Discard b.ts' }).click();
  await page.getByRole('alertdialog').getByRole('button', { name: 'Discard' }).click();
  await expect.poll(() => shownText(page)).toContain('export const b = 1;');

  await panel.getByRole('button', { name: 'main' }).click();
  await page.keyboard.type('topic');
  await page.keyboard.press('Enter');
  await expect(panel.getByRole('button', { name: 'topic' })).toBeVisible();
  expect(git('branch', '--show-current')).toBe('topic\n');
  expect(() => execFileSync('test', ['!', '-e', `${folder}-was-run`])).not.toThrow();
});

test('thousands of changed files are a list that takes keys, and are committed, also those that it does not show', async ({
  outpost,
  folder,
  picture,
}) => {
  const git = (...args: string[]) => execFileSync('git', args, { cwd: folder, encoding: 'utf8' });
  const nFiles = 5200; // more than are listed
  await writeFiles(folder, Object.fromEntries(Array.from({ length: nFiles }, (_, i) => [`made/${i}.txt`, `${i}\n`])));
  git('init', '--quiet', '--initial-branch=main');
  git('config', 'user.name', 'A');
  git('config', 'user.email', 'a@b.c');

  const page = await outpost.launch({ folder, hasTinyModel: true });
  await page.keyboard.press('Control+Shift+g');
  const panel = page.getByRole('region', { name: 'Source control' });
  await expect(panel.getByRole('heading', { name: 'Changes 5000' })).toBeVisible();
  await expect(panel).toContainText('More files changed than are listed here.');
  expect(await panel.getByRole('button', { name: /, untracked$/ }).count()).toBeLessThan(100);
  const list = panel.getByRole('region', { name: 'Changed files' });
  await list.focus();
  await page.keyboard.press('End');
  await expect(panel.getByRole('button', { name: '0.txt made, untracked', exact: true })).toBeHidden();
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme });
    await picture(`thousands ${colorScheme}`);
  }
  expect(await violations(page)).toEqual([]);

  await panel.getByRole('textbox', { name: 'Commit message' }).fill('All');
  await page.keyboard.press('Control+Enter');
  await expect(panel).toContainText('Nothing changed since the last commit.', { timeout: 30_000 });
  expect(git('ls-tree', '-r', '--name-only', 'HEAD').trim().split('\n').length).toBe(nFiles);
});
