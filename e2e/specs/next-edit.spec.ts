import { expect, test, writeFiles } from '../support/app.ts';
import { violations } from '../support/axe.ts';
import { openFile, shownText, status } from '../support/window.ts';

/** Where the next place is on the next line, Tab makes the change at once. */
const source = `export function total(items) {
  let sum = 0;
  // Every item once,
  // whatever it is.
  for (const item of items) sum += item.price;

  // What is owed is no price.
  if (sum < 0) throw new RangeError('negative');
  return sum;
}
`;

test('a renamed variable is renamed at its other uses: Tab goes there, Tab makes it, Escape leaves it', async ({
  outpost,
  folder,
  picture,
}) => {
  await writeFiles(folder, { 'total.js': source });
  const page = await outpost.launch({ folder });
  await openFile(page, 'total.js');
  const chip = status(page).getByRole('button', { name: /^Inline completion: next edit/ });
  await page.keyboard.press('Control+Home');
  await page.keyboard.press('ArrowDown');
  for (let i = 0; i < 6; i++) await page.keyboard.press('ArrowRight');
  for (let i = 0; i < 3; i++) await page.keyboard.press('Delete');
  await page.keyboard.type('price');
  await expect(chip).toBeVisible();
  await picture('proposed');
  expect(await violations(page)).toEqual([]);

  await page.keyboard.press('Tab');
  await page.keyboard.press('Tab');
  await expect.poll(() => shownText(page)).toContain('of items) price += item.price');
  await expect(chip).toBeVisible();
  // Who takes one after the other need not go there first.
  await page.keyboard.press('Tab');
  await expect.poll(() => shownText(page)).toContain('if (price < 0)');
  await expect(chip).toBeVisible();
  await page.keyboard.press('Escape');
  await expect(chip).toBeHidden();
  expect(await shownText(page)).toContain('return sum;');
});
