// From nothing to the right model: found, fitted, fetched, checked, loaded, asked, exchanged and deleted. The hub is a
// server of the tests, its models are small and their weights are random.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Page } from '@playwright/test';
import { splitModel } from '../../electron/services/models/testing/split-gguf.mjs';
import { TestHub } from '../../electron/services/models/testing/test-hub.ts';
import { tinyModelBytes } from '../../electron/services/models/testing/tiny-gguf.mjs';
import { expect, test, writeFiles } from '../support/app.ts';
import { lookAt, violations } from '../support/axe.ts';
import { standInGpu } from '../support/models.ts';
import { ask, replies, status, stopButton } from '../support/window.ts';

const small = tinyModelBytes({ nLayer: 2, nEmbd: 256, nCtxTrain: 512, type: 'q8_0', seed: 'small' });

async function withHub(userData: string, options: TestHub['options'] = {}, more: object = {}): Promise<TestHub> {
  const hub = await TestHub.start(options);
  const seen = { hasSeenFirstSteps: true };
  const settings = { sampler: { temperature: 0, maxTokens: 48 }, hubUrl: hub.url, ...seen, ...more };
  await writeFile(join(userData, 'settings.json'), JSON.stringify(settings));
  return hub;
}

const dialog = (page: Page) => page.getByRole('dialog', { name: 'Models' });
const model = (page: Page, name: RegExp) =>
  dialog(page).getByRole('list', { name: 'Models on this machine' }).getByRole('button', { name });
const card = (page: Page) => dialog(page).getByRole('article');

async function openModels(page: Page): Promise<void> {
  await page.keyboard.press('Control+Shift+m');
  await expect(dialog(page)).toBeVisible();
}

/** As from the system's file manager. */
async function drop(page: Page, files: string[]): Promise<void> {
  const box = await dialog(page).boundingBox();
  const at = { x: (box?.x ?? 0) + 400, y: (box?.y ?? 0) + 300 };
  const debug = await page.context().newCDPSession(page);
  for (const type of ['dragEnter', 'dragOver', 'drop'] as const) {
    await debug.send('Input.dispatchDragEvent', { type, ...at, data: { items: [], files, dragOperationsMask: 1 } });
  }
  await debug.detach();
}

test.describe('Models', () => {
  test('found, fitted, downloaded, checked, loaded, asked, and deleted', async ({ outpost, picture }) => {
    const hub = await withHub(outpost.userData, { redirects: true });
    hub.files.push({ repo: 'lab/small-GGUF', path: 'small-q8_0.gguf', bytes: small });
    const page = await outpost.launch({ switches: standInGpu });
    await outpost.waitForModel();
    await openModels(page);
    await expect(card(page)).toContainText('TinyLlama');
    await picture('library');

    // By keyboard alone.
    await dialog(page).getByRole('tab', { name: 'On this machine' }).focus();
    await page.keyboard.press('ArrowRight');
    await dialog(page).getByRole('searchbox').focus();
    await page.keyboard.type('small');
    await page.keyboard.press('Enter');
    await dialog(page).getByRole('button', { name: 'lab/small-GGUF' }).press('Enter');
    await dialog(page).getByRole('button', { name: 'Will It Fit? small-q8_0.gguf' }).press('Enter');
    await expect(dialog(page).getByRole('region', { name: 'Will it fit' })).toContainText('Fits:');
    // The head alone was asked for: the file was not.
    expect(hub.requests.every(({ range }) => range !== null)).toBe(true);
    await picture('fit');
    // What if a GPU computed a part of it? There is room for one of its two layers.
    const fit = dialog(page).getByRole('region', { name: 'Will it fit' });
    await fit.getByLabel('What if it computed on').selectOption('Stand-in GPU');
    await expect(fit.getByRole('status')).toContainText(/Fits: .* free memory of Stand-in GPU, and .* free memory/);
    await expect(fit).toContainText('has room for 1 of 2 layers');
    await expect(fit.getByRole('region', { name: 'Stand-in GPU, 1 of 2 layers' })).toContainText('Weights');
    await expect(fit).toContainText('measured on this machine', { timeout: 60_000 });
    await fit.getByLabel('What if 1 of 2 layers were on it?').press('ArrowRight');
    await expect(fit.getByRole('status')).toContainText('Does not fit');
    await expect(fit.getByRole('region', { name: 'Main memory' })).toContainText('Weights0 B');
    await fit.getByLabel('What if all 2 layers were on it?').press('ArrowLeft');
    await lookAt(page, picture, 'fit with a GPU');
    await dialog(page).getByRole('button', { name: 'Download small-q8_0.gguf' }).press('Enter');
    await dialog(page).getByRole('tab', { name: 'On this machine' }).click();
    await model(page, /^tiny/).click();
    await expect(card(page)).toContainText('Right on');
    await expect(card(page).getByRole('region', { name: 'What it can do' })).toContainText('It continues', {
      timeout: 60_000,
    });
    await picture('card');
    expect(await violations(page)).toEqual([]);

    await card(page).getByRole('button', { name: 'Chat', exact: true }).click();
    await expect(model(page, /^tiny/)).toContainText('Loaded');
    await card(page).getByLabel('Computes on').selectOption({ index: 1 });
    const shares = card(page).getByRole('list', { name: 'Who has what of it' });
    await expect(shares.getByRole('listitem')).toHaveText([
      /^Processor: 1 of 2 layers/,
      /^Stand-in GPU: 1 of 2 layers/,
    ]);
    await expect(dialog(page).getByRole('img', { name: /^Stand-in GPU: models take [1-9]/ })).toBeVisible();
    await expect(dialog(page)).toContainText('71 °C, 213 of 350 W, 1,755 MHz, 83 % busy');
    await lookAt(page, picture, 'shared with a GPU');
    const layers = card(page).getByLabel('Layers on the GPU');
    await layers.fill('3');
    await layers.press('Enter');
    await expect(card(page).getByRole('alert')).toContainText('From 1 to 2.');
    await layers.fill('2');
    await layers.press('Enter');
    await expect(shares.getByRole('listitem')).toHaveText([/^Stand-in GPU: 2 of 2 layers/]);
    await layers.fill('');
    await layers.press('Enter');
    await expect(shares.getByRole('listitem')).toHaveCount(2);
    await page.keyboard.press('Escape');
    await expect(status(page)).toContainText('tiny');
    await ask(page, 'Hello?');
    await expect(replies(page).last()).toHaveAttribute('aria-busy', 'false', { timeout: 60_000 });
    await expect(replies(page).last()).toContainText('tok/s');

    // What the model has of its own holds for its replies, until it is taken back.
    const lengthOf = async (question: string) => {
      await page.keyboard.press('Escape');
      const n = await replies(page).count();
      await ask(page, question);
      await expect(replies(page).nth(n)).toHaveAttribute('aria-busy', 'false', { timeout: 60_000 });
      return (await replies(page).nth(n).innerText()).length;
    };
    const own = card(page).locator('summary', { hasText: 'Settings of this model' });
    await openModels(page);
    await own.click();
    await card(page).getByLabel('Longest reply, tokens').fill('1');
    await page.keyboard.press('Enter');
    await expect(own).toContainText('(changed)');
    const short = await lengthOf('And now?');
    await openModels(page);
    await own.click();
    await card(page).getByRole('button', { name: 'Take Everything from the Settings' }).click();
    await expect(own).not.toContainText('(changed)');
    expect(await lengthOf('And now?')).toBeGreaterThan(short + 20);

    await openModels(page);
    await card(page).getByRole('button', { name: 'Delete…' }).click();
    const question = page.getByRole('alertdialog');
    await expect(question).toContainText('disk space');
    await question.getByRole('button', { name: 'Delete' }).click();
    await expect(model(page, /^tiny/)).toHaveCount(0);
    await expect(page.getByRole('region', { name: 'Notifications' })).toContainText(/was deleted; .* are free again/);
    await page.keyboard.press('Escape');
    await outpost.waitForModel();
    // Every connection is in the list.
    await status(page)
      .getByRole('button', { name: /connections/i })
      .click();
    await expect(page.getByRole('dialog', { name: 'Connections' })).toContainText('Downloading small-q8_0.');
    await hub.stop();
  });

  test('a download that was cut off at 40 % goes on at the next start', async ({ outpost, picture }) => {
    const large = tinyModelBytes({
      nLayer: 11,
      nEmbd: 512,
      nCtxTrain: 512,
      type: 'q8_0',
      seed: 'large',
      padding: 1 << 20,
    });
    const bytes = Buffer.concat([large, Buffer.alloc(12 << 20)]); // nobody reads what comes after the tensors
    const hub = await withHub(outpost.userData, { bytesPerSecond: 4e6 });
    hub.files.push({ repo: 'lab/large', path: 'large.gguf', bytes });
    let page = await outpost.launch();
    await openModels(page);
    await dialog(page).getByRole('tab', { name: 'Find models' }).click();
    await dialog(page).getByRole('searchbox').fill('large');
    await page.keyboard.press('Enter');
    await dialog(page).getByRole('button', { name: 'lab/large' }).click();
    await dialog(page).getByRole('button', { name: 'Download large.gguf' }).click();
    const item = () => dialog(page).getByRole('listitem', { name: 'large' });
    const percent = async () => Number(await item().getByRole('progressbar').getAttribute('aria-valuenow'));
    await expect.poll(percent, { timeout: 60_000, intervals: [50] }).toBeGreaterThan(39);
    await picture('downloading');
    await outpost.kill();

    hub.options.bytesPerSecond = 0;
    hub.nBytesSent = 0;
    page = await outpost.launch();
    await openModels(page);
    await model(page, /^tiny/).click();
    await expect(card(page)).toContainText('Right on');
    // What had arrived was not fetched again, but for the last half megabyte of each connection.
    expect(hub.nBytesSent).toBeLessThan(0.75 * bytes.length);
    await hub.stop();
  });

  test('a model in several files is fetched and loaded as one, and finds text by its meaning', async ({
    outpost,
    folder,
    picture,
  }) => {
    const hub = await withHub(outpost.userData);
    const parts = splitModel(Buffer.from(small), 3);
    for (const [i, bytes] of parts.entries()) {
      hub.files.push({ repo: 'lab/split-GGUF', path: `split-0000${i + 1}-of-00003.gguf`, bytes });
    }
    await writeFiles(folder, { 'mountain.txt': 'A mountain.\n', 'river.txt': 'A river.\n' });
    const page = await outpost.launch({ folder });
    await outpost.waitForModel();
    await openModels(page);
    await dialog(page).getByRole('tab', { name: 'Find models' }).click();
    await dialog(page).getByRole('searchbox').fill('split');
    await page.keyboard.press('Enter');
    await dialog(page).getByRole('button', { name: 'lab/split-GGUF' }).click();
    await expect(dialog(page).getByRole('listitem', { name: /split-00001/ })).toContainText('in 3 parts');
    await dialog(page)
      .getByRole('button', { name: /^Will It Fit. split/ })
      .click();
    // Types that were never measured here are measured before a speed is promised.
    await expect(dialog(page).getByRole('region', { name: 'Will it fit' })).toContainText('measured on this machine', {
      timeout: 60_000,
    });
    await dialog(page)
      .getByRole('button', { name: /^Download split/ })
      .click();
    await dialog(page).getByRole('tab', { name: 'On this machine' }).click();
    await model(page, /^tiny/).click();
    await expect(card(page)).toContainText('Right on');
    await expect(card(page).getByRole('region', { name: 'What it can do' })).toContainText('It continues', {
      timeout: 60_000,
    });
    await card(page).getByRole('button', { name: 'Check the Hash' }).click();
    await expect(card(page)).toContainText('Right on');

    await dialog(page).getByRole('button', { name: 'From Other Apps' }).click();
    await dialog(page)
      .getByRole('button', { name: /^(Back|Cancel)$/ })
      .click();
    await card(page).getByRole('button', { name: 'Search by meaning' }).click();
    await expect(card(page).getByRole('button', { name: 'Search by meaning' })).toHaveAttribute('aria-pressed', 'true');
    await page.keyboard.press('Escape');
    await page.keyboard.press('Control+Shift+p');
    await page.keyboard.type('search by meaning');
    await page.keyboard.press('Enter');
    const meaning = page.getByRole('dialog', { name: 'Search by Meaning' });
    await meaning.getByRole('textbox').fill('A river.');
    await page.keyboard.press('Enter');
    const found = meaning.getByRole('list', { name: 'Found by meaning' });
    await expect(found.getByRole('listitem')).toHaveCount(2, { timeout: 60_000 });
    await picture('by meaning');
    expect(await violations(page)).toEqual([]);
    await found.getByRole('button', { name: /^river\.txt:1/ }).click();
    await expect(page.getByRole('tab', { name: /river\.txt/ })).toBeVisible();
    await hub.stop();
  });

  test('pause, failure and a switched-off network say what can be done', async ({ outpost, picture }) => {
    const hub = await withHub(outpost.userData, { bytesPerSecond: 300_000 });
    hub.files.push({ repo: 'lab/small-GGUF', path: 'small-q8_0.gguf', bytes: small });
    hub.files.push({ repo: 'lab/gated', path: 'gated.gguf', bytes: small });
    hub.options.gated = { repo: 'lab/gated', token: 'secret' };
    const page = await outpost.launch();
    await openModels(page);
    await dialog(page).getByRole('tab', { name: 'Find models' }).click();
    await picture('catalog');
    await dialog(page).getByRole('searchbox').fill('lab');
    await page.keyboard.press('Enter');
    await dialog(page).getByRole('button', { name: 'lab/gated' }).click();
    await expect(dialog(page).getByRole('alert')).toContainText('token');
    await picture('gated');
    await dialog(page).getByRole('alert').getByRole('button', { name: 'Give an Access Token…' }).press('Enter');
    await page.keyboard.type('secret');
    await dialog(page).getByRole('button', { name: 'Keep' }).click();
    await dialog(page).getByRole('button', { name: 'Try Again' }).click();
    await expect(dialog(page).getByRole('listitem', { name: 'gated.gguf' })).toBeVisible();

    await dialog(page).getByRole('button', { name: 'Back to the results' }).click();
    await dialog(page).getByRole('button', { name: 'lab/small-GGUF' }).click();
    await dialog(page).getByRole('button', { name: 'Download small-q8_0.gguf' }).click();
    await dialog(page).getByRole('button', { name: 'Pause small-q8_0' }).click();
    const item = dialog(page).getByRole('listitem', { name: 'small-q8_0', exact: true });
    await expect(item).toContainText('Paused');
    await picture('paused');
    hub.options.bytesPerSecond = 100_000;
    await item.getByRole('button', { name: 'Go on with small-q8_0' }).click();
    await page.evaluate(() => undefined);
    await page.keyboard.press('Escape');
    await page.keyboard.press('Control+Shift+p');
    await page.keyboard.type('switch the network');
    await page.keyboard.press('Enter');
    await openModels(page);
    await expect(item.getByRole('alert')).toContainText('The network was switched off.');
    await picture('switched off');
    expect(await violations(page)).toEqual([]);
    await item.getByRole('button', { name: /^Stop small/ }).click();
    await expect(item).toHaveCount(0);
    await hub.stop();
  });

  test('a folder is taken over, roles change during a reply, and too little memory is said', async ({
    outpost,
    folder,
    picture,
  }) => {
    const hub = await withHub(outpost.userData, {}, { sampler: { temperature: 0, maxTokens: 400 } });
    await writeFiles(folder, { 'deep/below/small.gguf': Buffer.from(small), 'notes.txt': 'no model' });
    await writeFiles(outpost.userData, { 'dropped.gguf': Buffer.from(small) });
    const page = await outpost.launch();
    await outpost.waitForModel();
    await ask(page, 'Tell me a very long story about a mountain.');
    await expect.poll(async () => (await replies(page).innerText()).length).toBeGreaterThan(20);

    await outpost.inMain(({ dialog: native }, path) => {
      native.showOpenDialog = async () => ({ canceled: false, filePaths: [path] });
    }, folder);
    await openModels(page);
    await drop(page, [join(folder, 'notes.txt')]);
    const notes = page.getByRole('region', { name: 'Notifications' });
    await expect(notes).toContainText('What was dropped is no model file.');
    // A click on a note leaves the dialog open.
    await notes.getByRole('button', { name: 'Dismiss' }).click();
    await expect(notes).not.toContainText('dropped');
    await drop(page, [join(outpost.userData, 'dropped.gguf')]);
    await expect(card(page)).toContainText('used where it lies');
    await card(page).getByRole('button', { name: 'Take Out of the List…' }).click();
    await page.getByRole('alertdialog').getByRole('button', { name: 'Take Out' }).click();
    await expect(model(page, /^tiny/)).toHaveCount(0);

    await dialog(page).getByRole('button', { name: 'Scan a Folder…' }).click();
    await expect(dialog(page).getByRole('region', { name: 'Found models' })).toContainText('small.gguf');
    await dialog(page).getByRole('button', { name: 'Add 1 Model' }).click();
    await expect(card(page)).toContainText('used where it lies');
    await card(page).getByRole('button', { name: 'Chat', exact: true }).click();
    await expect(model(page, /^tiny/)).toContainText('Loaded');
    await picture('two models');
    await page.keyboard.press('Escape');
    await expect(status(page)).toContainText('tiny');
    // The reply that ran goes on with its own model; on a slow machine for longer than anybody wants to wait.
    const reply = replies(page).first();
    const before = (await reply.innerText()).length;
    const goesOn = async () =>
      (await reply.innerText()).length > before || (await reply.getAttribute('aria-busy')) === 'false';
    await expect.poll(goesOn).toBe(true);
    if ((await reply.getAttribute('aria-busy')) === 'true') await stopButton(page).click();
    await expect(reply).toHaveAttribute('aria-busy', 'false');
    await expect(reply).toContainText('TinyLlama');
    await ask(page, 'And now?');
    await expect(replies(page).nth(1)).toHaveAttribute('aria-busy', 'false', { timeout: 60_000 });

    await page.keyboard.press('Control+,');
    await page.getByLabel('Memory for models').fill('100');
    await page.keyboard.press('Enter');
    await page.keyboard.press('Escape');
    await openModels(page);
    await model(page, /^TinyLlama/).click();
    await card(page).getByRole('button', { name: 'Chat', exact: true }).click();
    await expect(card(page).getByRole('alert')).toContainText('the memory limit of the settings leaves');
    await picture('out of memory');
    expect(await violations(page)).toEqual([]);
    await page.evaluate(() => {
      document.documentElement.dataset.theme = document.documentElement.dataset.theme === 'dark' ? 'light' : 'dark';
    });
    await picture('out of memory, other theme');
    expect(await violations(page)).toEqual([]);
    await hub.stop();
  });

  test("a folder's own choice of a model holds from when it is opened until another one is", async ({
    outpost,
    folder,
    picture,
  }) => {
    await writeFiles(folder, { 'own/a.txt': '', 'other/b.txt': '' });
    await writeFiles(outpost.userData, { 'second.gguf': Buffer.from(small) });
    const page = await outpost.launch({ folder: join(folder, 'own'), hasTinyModel: true });
    const open = async (name: string) => {
      await outpost.inMain(
        ({ dialog: native }, path) => {
          native.showOpenDialog = async () => ({ canceled: false, filePaths: [path] });
        },
        join(folder, name),
      );
      await page.keyboard.press('Escape');
      await page.keyboard.press('Control+o');
      await expect(page.getByRole('tree', { name })).toBeVisible();
      await openModels(page);
    };
    const second = model(page, /^tiny/);
    await openModels(page);
    await drop(page, [join(outpost.userData, 'second.gguf')]);
    await expect(card(page)).toContainText('used where it lies');
    await card(page).getByLabel('Only in this folder').check();
    await card(page).getByRole('button', { name: 'Chat', exact: true }).click();
    await expect(second).toContainText('Loaded');
    await open('other');
    await expect(second).not.toContainText('Loaded');
    await open('own');
    await expect(second).toContainText('Loaded');
    await picture('a choice of the folder');
  });
});
