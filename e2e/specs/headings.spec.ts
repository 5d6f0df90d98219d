import { lookAt } from '../support/axe.ts';
import { expect, script, test } from '../support/scenes.ts';
import { ask, replies } from '../support/window.ts';

test('headings of a reply follow those of the window, however deep its first one is', async ({ scene, picture }) => {
  const page = await scene('loading');
  await script(page, ({ engine }) => {
    engine.reply = 'Two ways:\n\n### By hand\n\nSlow.\n\n#### Why\n\nIt is long.\n\n# By machine\n\nFast.';
    engine.loaded();
  });
  await ask(page, 'How?');
  await expect(replies(page)).toContainText('Fast.');
  const level = (name: string) =>
    replies(page)
      .getByRole('heading', { name })
      .evaluate((heading) => heading.tagName);
  expect([await level('By hand'), await level('Why'), await level('By machine')]).toEqual(['H3', 'H4', 'H3']);
  await lookAt(page, picture, 'headings');
});
