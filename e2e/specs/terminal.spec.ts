import { expect, test, writeFiles } from '../support/app.ts';
import { violations } from '../support/axe.ts';
import { openFile, status } from '../support/window.ts';

test.skip(process.platform === 'win32', 'The story is told in a POSIX shell.');

test('a shell of one’s own: commands run in the folder, and their output goes into the chat', async ({
  outpost,
  folder,
  picture,
}) => {
  await writeFiles(folder, { 'notes.txt': 'hello\n', 'run.sh': 'echo out=$((40 + 2)); exit 3\n' });
  const page = await outpost.launch({ folder, hasTinyModel: true });
  await openFile(page, 'notes.txt');
  expect(Object.keys(await outpost.processIds())).not.toContain('Outpost Terminal');

  await page.keyboard.press('Control+`');
  const terminal = page.getByRole('region', { name: 'Terminal' });
  await expect(terminal.getByRole('textbox', { name: 'Terminal input' })).toBeFocused();
  const screen = terminal.locator('.xterm-rows, .xterm-accessibility-tree').first();
  await page.keyboard.type('sh run.sh; ls; pwd\n');
  await expect(screen).toContainText('out=42');
  await expect(screen).toContainText('notes.txt');
  // The shell's keys stay the shell's: Control+L clears here, and does not go to the chat.
  await page.keyboard.press('Control+l');
  await expect(screen).not.toContainText('out=42');
  await page.keyboard.type('sh run.sh\n');
  await expect(screen).toContainText('out=42');
  await picture('terminal');
  expect(await violations(page)).toEqual([]);

  await terminal.getByRole('button', { name: 'Attach Output to the Chat' }).click();
  await expect(page.getByRole('region', { name: 'Terminal' })).toBeVisible();
  const chat = page.getByRole('complementary', { name: 'Chat' });
  await expect(chat.getByText(/^(ba)?sh|dash|zsh|fish$/).first()).toBeVisible();

  // From the chat the key brings the focus back, and pressed again hides; as quick as a hand can be, within one frame.
  await page.evaluate(() => {
    const press = () =>
      document.activeElement?.dispatchEvent(
        new KeyboardEvent('keydown', { key: '`', code: 'Backquote', ctrlKey: true, bubbles: true, cancelable: true }),
      );
    press();
    press();
  });
  await expect(terminal).toBeHidden();
  // Shown again it is the same shell.
  await page.keyboard.press('Control+`');
  await expect(screen).toContainText('out=42');

  // The connections say what a terminal is.
  await status(page)
    .getByRole('button', { name: /connection/i })
    .click();
  await expect(page.getByRole('dialog')).toContainText('Terminals are yours');
  await expect(page.getByRole('dialog')).toContainText('One is open.');
  await page.keyboard.press('Escape');

  // The tab of a new one is seen, however many there are.
  for (let n = 2; n <= 15; n++) await terminal.getByRole('button', { name: 'New Terminal' }).click();
  await expect(terminal.getByRole('tab', { name: '15:' })).toBeInViewport();
  for (let n = 2; n <= 15; n++) await terminal.getByRole('button', { name: 'End This Terminal' }).click();

  await terminal.getByRole('button', { name: 'End This Terminal' }).click();
  await expect(terminal).toContainText('No terminal is open');
});
