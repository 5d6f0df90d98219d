import { execFileSync } from 'node:child_process';
import { expect, test, writeFiles } from '../support/app.ts';
import { violations } from '../support/axe.ts';
import { openFile, shownText, tab } from '../support/window.ts';

test('settings are searched, edited as JSON, and give commands other keys', async ({ outpost, folder }) => {
  await writeFiles(folder, { 'a.json': '{"a":1}', 'b.txt': 'b\n' });
  const page = await outpost.launch({ folder });
  await openFile(page, 'a.json');
  await page.keyboard.press('Control+,');
  const dialog = page.getByRole('dialog');
  await dialog.getByRole('searchbox', { name: 'Search settings' }).fill('format');
  await expect(dialog.getByRole('spinbutton', { name: 'Zoom' })).toBeHidden();
  await dialog.getByRole('switch', { name: 'Format on save' }).click();

  await dialog.getByRole('button', { name: 'Keyboard Shortcuts' }).click();
  await dialog.getByRole('searchbox').fill('close tab');
  await dialog.getByRole('button', { name: 'Change the keys of Close Tab' }).click();
  await page.keyboard.press('Control+Shift+g');
  await expect(dialog.getByRole('status')).toHaveText('“Show Source Control” had this key and has none now.');
  await page.keyboard.press('Escape');

  await page.keyboard.press('Control+,');
  await dialog.getByRole('button', { name: 'Edit as JSON' }).click();
  const json = dialog.getByRole('textbox', { name: 'Settings as JSON' });
  await expect(json).toHaveValue(/"formatOnSave": true/);
  await json.fill((await json.inputValue()).replace('"editorFontSize": 13', '"editorFontSize": 1'));
  await dialog.getByRole('button', { name: 'Save' }).click();
  await expect(dialog.getByRole('alert')).toContainText('editorFontSize');
  await json.fill((await json.inputValue()).replace('"editorFontSize": 1', '"editorFontSize": 16'));
  await dialog.getByRole('button', { name: 'Save' }).click();
  await expect(dialog).toBeHidden();

  await page.locator('.monaco-editor .view-lines').click();
  await page.keyboard.press('Control+s');
  await expect.poll(() => shownText(page)).toContain('"a": 1');
  await page.keyboard.press('Control+Shift+g');
  await expect(tab(page, 'a.json')).toBeHidden();
});

test('every view is readable in every theme', async ({ outpost, folder, picture }) => {
  await writeFiles(folder, {
    'src/queue.ts':
      '// A bounded queue.\nexport class Queue<T> {\n  readonly #items: T[] = [];\n  constructor(readonly capacity: number) {}\n}\n',
    'README.md': '# Orbit\n',
  });
  const git = (...args: string[]) =>
    execFileSync('git', ['-c', 'user.name=A', '-c', 'user.email=a@b.c', ...args], { cwd: folder });
  git('init', '--quiet', '--initial-branch=main');
  git('add', '.');
  git('commit', '--quiet', '-m', 'first');
  await writeFiles(folder, { 'README.md': '# Orbit\n\nA library.\n', 'notes.md': 'new\n' });
  const page = await outpost.launch({ folder });
  await page.getByRole('treeitem', { name: 'src', exact: true }).click();
  await openFile(page, 'queue.ts');
  await page.keyboard.press('Control+`');
  const terminal = page.getByRole('region', { name: 'Terminal' });
  // A prompt without the machine's names: the pictures go into docs/.
  await page.keyboard.type("PS1='$ '; clear; git status\n");
  await expect(terminal.locator('.xterm-accessibility-tree')).toContainText('notes.md');
  await page.keyboard.press('Control+Shift+g');
  await expect(page.getByRole('region', { name: 'Source control' }).getByText('Changes')).toBeVisible();

  const dialogs: [string, string][] = [
    ['settings', 'Settings: Settings'],
    ['keys', 'Keyboard Shortcuts'],
    ['json', 'Edit the Settings as JSON'],
    ['connections', 'Show Connections'],
    ['latency', 'Show the Latency of Suggestions'],
  ];
  for (const theme of ['light', 'dark', 'contrast']) {
    if (theme === 'contrast') await run('Switch High Contrast');
    else await page.emulateMedia({ colorScheme: theme as 'light' | 'dark' });
    await expect(page.locator('html')).toHaveAttribute('data-theme', theme);
    await picture(`work ${theme}`);
    expect(await violations(page)).toEqual([]);
    for (const [name, command] of dialogs) {
      await run(command);
      await expect(page.getByRole('dialog')).toBeVisible();
      await picture(`${name} ${theme}`);
      expect(await violations(page)).toEqual([]);
      await page.keyboard.press('Escape');
      await expect(page.getByRole('dialog')).toBeHidden();
    }
  }

  async function run(command: string): Promise<void> {
    await page.keyboard.press('Control+Shift+p');
    await page.getByRole('combobox').fill(command);
    await page.keyboard.press('Enter');
    await expect(page.getByRole('combobox')).toBeHidden();
  }
});
