// Every state of the view of models in every theme: nothing that axe finds, and a picture of each, which
// `node scripts/outpost.mjs pictures` puts into docs/.
import { open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Page } from '@playwright/test';
import { TestHub } from '../../electron/services/models/testing/test-hub.ts';
import { tinyModelBytes } from '../../electron/services/models/testing/tiny-gguf.mjs';
import { expect, type OutpostApp, test } from '../support/app.ts';
import { violations } from '../support/axe.ts';

/** A model, and after its tensors what nobody reads, so that checking it takes a while. */
const coder = Buffer.concat([
  tinyModelBytes({ nLayer: 2, nEmbd: 256, nCtxTrain: 4096, type: 'q8_0', seed: 'coder' }),
  Buffer.alloc(24 << 20),
]);
const repo = 'lab/Coder-GGUF';

/** The main process reads so many pieces of files, then none until it is let. */
async function holdDisk({ electron }: OutpostApp, nReads: number): Promise<void> {
  await electron.evaluate(async (_electron, n) => {
    const { open: openFile } = process.getBuiltinModule('node:fs/promises');
    const file = await openFile(process.execPath);
    const handle = Object.getPrototypeOf(file);
    await file.close();
    const { read } = handle;
    let nLeft = n;
    const { promise, resolve } = Promise.withResolvers<void>();
    Object.assign(globalThis, { releaseDisk: resolve });
    handle.read = async function (...args: unknown[]) {
      if (nLeft-- <= 0) await promise;
      return read.apply(this, args);
    };
  }, nReads);
}

const releaseDisk = ({ electron }: OutpostApp) =>
  electron.evaluate(() => (globalThis as unknown as { releaseDisk: () => void }).releaseDisk());

test('every state of the view of models is readable in every theme', async ({ outpost, picture }) => {
  test.setTimeout(180_000);
  const hub = await TestHub.start();
  hub.files.push({ repo, path: 'coder-q8_0.gguf', bytes: coder });
  hub.files.push({ repo: 'lab/Chat-GGUF', path: 'chat-q8_0.gguf', bytes: coder });
  const settings = { hasSeenFirstSteps: true, hubUrl: hub.url };
  await writeFile(join(outpost.userData, 'settings.json'), JSON.stringify(settings));
  const page = await outpost.launch();
  await outpost.waitForModel();
  const dialog = page.getByRole('dialog', { name: 'Models' });
  const openModels = async () => {
    await page.keyboard.press('Control+Shift+m');
    await expect(dialog).toBeVisible();
  };
  const show = (tab: string) => dialog.getByRole('tab', { name: tab }).click();
  const search = async (text: string) => {
    await dialog.getByRole('searchbox').fill(text);
    await page.keyboard.press('Enter');
  };
  const card = dialog.getByRole('article');
  const item = dialog.getByRole('listitem', { name: 'coder-q8_0', exact: true });
  const lookAt = async (state: string) => {
    for (const theme of ['light', 'dark', 'contrast']) {
      await page.evaluate((name) => {
        document.documentElement.dataset.theme = name;
      }, theme);
      // Where things lie on this machine is nobody's business.
      await picture(`models-${state} ${theme}`, [page.getByText(/\.gguf \(/), page.getByText(/^[\\/].* free$/)]);
      expect(await violations(page), `${state}, ${theme}`).toEqual([]);
    }
  };

  await openModels();
  await expect(card.getByRole('region', { name: 'In memory' })).toBeVisible();
  await lookAt('loaded');

  await show('Find models');
  await search('nothing like it');
  await expect(dialog).toContainText('Nothing was found');
  await lookAt('empty');
  hub.options.isSilent = true;
  await search('lab');
  await expect(dialog).toContainText('Searching');
  await lookAt('searching');
  hub.options.isSilent = false;
  await search('lab');
  await dialog.getByRole('button', { name: repo }).click();
  await dialog.getByRole('button', { name: 'Will It Fit? coder-q8_0.gguf' }).click();
  await expect(dialog.getByRole('region', { name: 'Will it fit' })).toContainText('measured on this machine', {
    timeout: 60_000,
  });
  await lookAt('fit');

  hub.options.bytesPerSecond = 300_000;
  await dialog.getByRole('button', { name: 'Download coder-q8_0.gguf' }).click();
  await show('On this machine');
  await expect(item).toContainText('/s, ', { timeout: 20_000 });
  await lookAt('downloading');
  await item.getByRole('button', { name: 'Pause coder-q8_0' }).click();
  await expect(item).toContainText('Paused');
  await lookAt('paused');
  hub.options = { gated: { repo, token: 'secret' } };
  await item.getByRole('button', { name: 'Go on with coder-q8_0' }).click();
  await expect(item.getByRole('alert')).toContainText('without a token');
  await lookAt('failed');
  hub.options = {};
  await holdDisk(outpost, 10);
  await item.getByRole('button', { name: 'Go on with coder-q8_0' }).click();
  await expect(item).toContainText('Checking the hash', { timeout: 30_000 });
  await lookAt('verifying');
  await releaseDisk(outpost);

  const coderItem = dialog.getByRole('list', { name: 'Models on this machine' }).getByRole('button', { name: /^tiny/ });
  await coderItem.click();
  await expect(card).toContainText('Right on', { timeout: 30_000 });
  await expect(card).toContainText('It continues', { timeout: 60_000 });
  await damage(join(outpost.userData, 'models', 'lab--Coder-GGUF', 'coder-q8_0.gguf'));
  await expect(card.getByRole('button', { name: 'Check the Hash' })).toBeEnabled({ timeout: 60_000 });
  await card.getByRole('button', { name: 'Check the Hash' }).click();
  await expect(card.getByRole('alert')).toContainText('is damaged');
  await lookAt('damaged');
  await card.getByRole('button', { name: 'Repair' }).click();
  await expect(card).toContainText('Right on', { timeout: 30_000 });

  await page.keyboard.press('Escape');
  await switchNetwork(page);
  await openModels();
  await show('Find models');
  await expect(dialog).toContainText('The network is switched off');
  await lookAt('offline');
  await hub.stop();
});

/** One byte of a file is another. */
async function damage(path: string): Promise<void> {
  const file = await open(path, 'r+');
  const { buffer } = await file.read(Buffer.alloc(1), 0, 1, 9 << 20);
  await file.write(Buffer.from([(buffer[0] ?? 0) ^ 1]), 0, 1, 9 << 20);
  await file.close();
}

async function switchNetwork(page: Page): Promise<void> {
  await page.keyboard.press('Control+Shift+p');
  await page.keyboard.type('switch the network');
  await page.keyboard.press('Enter');
}
