import { expect, test, writeFiles } from '../support/app.ts';

test('opens', async ({ outpost, folder, picture }) => {
  await writeFiles(folder, { 'src/main.ts': 'export const x = 1;\n', 'README.md': '# Hello\n' });
  const page = await outpost.launch({ folder });
  page.on('console', (m) => console.log('console', m.text()));
  page.on('pageerror', (m) => console.log('pageerror', m));
  await picture('start');
  await page.waitForTimeout(3000);
  await picture('later');
  console.log(await outpost.processIds());
  console.log(await page.locator('body').innerText());
});
