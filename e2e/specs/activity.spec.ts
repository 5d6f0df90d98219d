import { expect, test, writeFiles } from '../support/app.ts';
import { violations } from '../support/axe.ts';
import { ask, file, message, replies, status } from '../support/window.ts';

const ghostText = '.monaco-editor .ghost-text-decoration, .monaco-editor .ghost-text';

test('from the first start to a suggestion and an answer, without a folder', async ({ outpost, picture }) => {
  const page = await outpost.launch({ isNewUser: true });
  const welcome = page.getByRole('dialog', { name: 'Welcome to Outpost' });
  await expect(welcome.getByRole('status')).toContainText('is ready', { timeout: 60_000 });
  await picture('first steps');
  expect(await violations(page)).toEqual([]);
  await welcome.getByRole('button', { name: 'Try It' }).click();
  await expect(page.locator(ghostText).first()).toBeVisible({ timeout: 60_000 });
  await picture('first suggestion');

  await page.keyboard.press('Control+Shift+p');
  await page.getByRole('combobox').fill('First Steps');
  await page.keyboard.press('Enter');
  await expect(welcome.getByRole('listitem').first()).toContainText('Done');
  await welcome.getByRole('button', { name: 'Ask', exact: true }).click();
  await expect(replies(page)).toContainText(/\w/, { timeout: 60_000 });

  // Closed once, they stay away.
  await outpost.kill();
  const again = await outpost.launch();
  await expect(message(again)).toBeVisible();
  await expect(again.getByRole('dialog')).toBeHidden();
});

test('what runs is listed and can be ended; notes can be silenced', async ({ outpost, folder, picture }) => {
  await writeFiles(folder, { 'a.txt': 'a\n', 'b.txt': 'b\n' });
  const page = await outpost.launch({ folder });
  await outpost.waitForModel();
  await ask(page, 'Count from 1 to 500, one number a line.');
  await ask(page, 'And now backwards.');
  const chip = status(page).getByRole('button', { name: /show what runs/ });
  await expect(chip).toBeVisible();
  await chip.click();
  const activity = page.getByRole('dialog', { name: 'Activity' });
  await expect(activity.getByRole('listitem')).toHaveCount(2);
  await picture('running');
  expect(await violations(page)).toEqual([]);
  await activity.getByRole('button', { name: 'Take the question back' }).click();
  await activity.getByRole('button', { name: 'Stop the reply' }).click();
  await expect(activity).toContainText('Nothing runs.');
  await page.keyboard.press('Escape');

  // A job of the engine.
  await page.keyboard.press('Control+Shift+m');
  const models = page.getByRole('dialog', { name: 'Models' });
  await models.getByRole('button', { name: 'Measure Its Speed' }).click();
  await expect(models).toContainText('Measuring its speed');
  await page.keyboard.press('Escape');
  await page.keyboard.press('Control+Alt+a');
  await activity.getByRole('button', { name: /^Stop it for/ }).click();
  await expect(activity).toContainText('Nothing runs.');

  await activity.getByRole('switch', { name: 'Silence notes' }).click();
  await page.keyboard.press('Escape');
  await file(page, 'a.txt').click();
  await page.keyboard.press('Delete');
  await expect(file(page, 'a.txt')).toBeHidden();
  await expect(page.getByRole('region', { name: 'Notifications' })).toHaveText('');
  await page.keyboard.press('Control+Alt+a');
  await activity.getByRole('button', { name: 'Undo' }).click();
  await page.keyboard.press('Escape');
  await expect(file(page, 'a.txt')).toBeVisible();
});
