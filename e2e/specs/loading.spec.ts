// A load of a model can be stopped wherever it is waited for, and what was typed or asked stays. On the scripted page: a
// real load is over before a story can count on it.
import type { Page } from '@playwright/test';
import { lookAt } from '../support/axe.ts';
import { expect, script, test } from '../support/scenes.ts';
import { ask, message, replies, status } from '../support/window.ts';

const chat = (page: Page) => page.getByRole('complementary', { name: 'Chat' });
const stop = (page: Page) => chat(page).getByRole('button', { name: 'Stop Loading' });
const load = (page: Page) => chat(page).getByRole('button', { name: 'Load It Now' });

test('stopped by keyboard before anything was asked: what is typed stays, and a question loads it', async ({
  scene,
  picture,
}) => {
  const page = await scene('loading');
  await message(page).fill('What is a queue?');
  await expect(stop(page)).toHaveCount(1);
  await lookAt(page, picture, 'loading');
  await stop(page).press('Enter');
  await expect(chat(page)).toContainText('Loading was stopped');
  await expect(message(page)).toBeFocused();
  await expect(message(page)).toHaveValue('What is a queue?');
  await expect(status(page).getByRole('button', { name: 'Model: Loading the model was stopped.' })).toBeVisible();
  await expect(status(page).getByRole('button', { name: /^Inline completion/ })).toHaveAccessibleName(/was stopped/);
  await lookAt(page, picture, 'stopped');

  await page.keyboard.press('Enter');
  await expect(chat(page)).toContainText('Waiting for the model: 0 % loaded');
  await expect(chat(page)).toContainText('What is a queue?');
});

test('stopped under questions: they stay, and are asked when it is loaded after all', async ({ scene, picture }) => {
  const page = await scene('loading');
  await ask(page, 'First?');
  await expect(chat(page)).toContainText('Waiting for the model: 42 % loaded');
  await ask(page, 'Second?');
  const waiting = page.getByRole('list', { name: 'Questions that wait' });
  await expect(waiting).toContainText('Second?');
  await message(page).fill('Third');
  await lookAt(page, picture, 'a question waits');
  await stop(page).press('Enter');
  await expect(replies(page)).toContainText('Stopped');
  await expect(chat(page)).toContainText('Loading was stopped. A question begins it again.');
  await expect(waiting).toContainText('Second?');
  await expect(message(page)).toHaveValue('Third');
  await lookAt(page, picture, 'stopped under questions');

  await load(page).press('Enter');
  await expect(message(page)).toBeFocused();
  await expect(waiting).toHaveCount(0);
  await expect(chat(page)).toContainText('Waiting for the model: 0 % loaded');
  await script(page, ({ engine }) => engine.loaded());
  await expect(replies(page).last()).toHaveAttribute('aria-busy', 'false');
  await expect(replies(page)).toHaveText([/Stopped/, /Hello\./]);
  await expect(message(page)).toHaveValue('Third');
});

test('stopped in a conversation that was there, from what runs, and from the first steps', async ({
  scene,
  picture,
}) => {
  let page = await scene('loadingAgain');
  await expect(stop(page)).toHaveCount(1);
  await lookAt(page, picture, 'in a conversation');
  await page.keyboard.press('Control+Alt+a');
  const activity = page.getByRole('dialog', { name: 'Activity' });
  await activity.getByRole('button', { name: 'Stop loading the model' }).press('Enter');
  await expect(activity).toContainText('Nothing runs.');
  await page.keyboard.press('Escape');
  await lookAt(page, picture, 'stopped in a conversation');
  await load(page).press('Enter');
  await expect(chat(page)).toContainText('Loading, 0 %. A question waits for it.');
  await stop(page).press('Enter');
  await expect(load(page)).toBeVisible();

  page = await scene('firstStepsLoading');
  const welcome = page.getByRole('dialog', { name: 'Welcome to Outpost' });
  await welcome.getByRole('button', { name: 'Stop', exact: true }).press('Enter');
  await expect(welcome.getByRole('status')).toContainText('Loading the model was stopped.');
  await lookAt(page, picture, 'stopped in the first steps');
  await expect(welcome.getByRole('button', { name: 'Load It' })).toBeFocused();
  await page.keyboard.press('Enter');
  await expect(welcome.getByRole('status')).toContainText('The model is loading, 0 %.');
});

test('the card of a model says that its load was stopped, and loads it', async ({ scene, picture }) => {
  const page = await scene('loading');
  await page.keyboard.press('Control+Shift+m');
  const card = page.getByRole('dialog', { name: 'Models' }).getByRole('article');
  await card.getByRole('button', { name: 'Stop', exact: true }).press('Enter');
  await expect(card).toContainText('Loading was stopped');
  await expect(card.getByRole('alert')).toHaveCount(0);
  await lookAt(page, picture, 'stopped on the card');
  await expect(card.getByRole('button', { name: 'Load It' })).toBeFocused();
  await page.keyboard.press('Enter');
  await expect(card.getByRole('progressbar', { name: 'Loading' })).toBeVisible();
});
