import { writeFile } from 'node:fs/promises';
import { getPriority } from 'node:os';
import { join } from 'node:path';
import { kForTheWindow } from '../../electron/common/give-way.ts';
import { expect, test } from '../support/app.ts';
import { lookAt } from '../support/axe.ts';
import { modelCard, openModelCard, standInGpu } from '../support/models.ts';
import { ask, replies, status } from '../support/window.ts';

test.describe('Engine', () => {
  test('starts after the first picture of the window', async ({ outpost }) => {
    const page = await outpost.launch();
    await outpost.waitForModel();
    const paintedMs = await page.evaluate(() => {
      const [paint] = performance.getEntriesByName('first-contentful-paint');
      return performance.timeOrigin + (paint?.startTime ?? Number.NaN);
    });
    // Two clocks that differ by a constant: what the system says of processes is compared with itself only.
    const { engineMs, originMs } = await outpost.inMain(({ app }) => {
      const created = (name: string) =>
        app.getAppMetrics().find(({ type, name: own }) => (own ?? type) === name)?.creationTime ?? Number.NaN;
      return { engineMs: created('Outpost Engine') - created('Browser'), originMs: performance.timeOrigin };
    });
    // The system counts in hundredths of a second.
    expect(engineMs).toBeGreaterThan(paintedMs - originMs - 10);
    // And where both want a processor, the window goes first.
    const { 'Outpost Engine': engine, 'Outpost Workspace': files } = await outpost.processIds();
    if (process.platform !== 'win32')
      for (const pid of [engine, files]) expect(getPriority(pid)).toBeGreaterThanOrEqual(kForTheWindow);
  });

  test('killed during a reply: the window says so, and the next question is answered', async ({ outpost, picture }) => {
    const page = await outpost.launch();
    await outpost.waitForModel();
    await ask(page, 'Tell me a very long story about a mountain.');
    await expect.poll(async () => (await replies(page).innerText()).length).toBeGreaterThan(20);
    const { 'Outpost Engine': pid } = await outpost.processIds();
    if (pid === undefined) throw new Error('The engine process was not found.');
    process.kill(pid, 'SIGKILL');
    await expect(replies(page)).toContainText('The engine stopped while it was answering.');
    await picture('after the kill');
    const written = await replies(page).innerText();
    expect(written.length).toBeGreaterThan(60);

    await outpost.waitForModel();
    await ask(page, 'Say hello.');
    const second = replies(page).nth(1);
    await expect(second).toHaveAttribute('aria-busy', 'false', { timeout: 60_000 });
    await expect(second).toContainText('tok/s');
    await picture('answered again');
    expect((await outpost.processIds())['Outpost Engine']).not.toBe(pid);
  });

  test('killed again and again: it is left alone until the user asks', async ({ outpost, picture }) => {
    const page = await outpost.launch();
    const banner = page.getByRole('alert').filter({ hasText: 'The engine stopped' }).first();
    let killed = 0;
    for (let death = 1; death <= 4; death++) {
      // The next process, not what the metrics still say of the one before.
      const enginePid = async () => (await outpost.processIds())['Outpost Engine'] ?? killed;
      await expect.poll(enginePid).not.toBe(killed);
      await outpost.waitForModel();
      killed = await enginePid();
      process.kill(killed, 'SIGKILL');
      await expect(banner).toContainText('stopped unexpectedly');
    }
    await expect(banner).toContainText('too often');
    await picture('given up');
    await page.getByRole('button', { name: 'Start the Engine' }).click();
    await outpost.waitForModel();
    await expect(banner).toHaveCount(0);
  });

  test('a GPU lost once: another engine takes over; twice: the user is asked', async ({ outpost, picture }) => {
    test.skip(process.platform === 'win32', 'no signals');
    const page = await outpost.launch({ switches: standInGpu });
    const notice = page.getByText('The GPU stopped working, and the engine was started again.');
    const banner = page.getByRole('alert').filter({ hasText: 'The GPU stopped working again' }).first();
    const enginePid = async (before = 0) => {
      await expect.poll(async () => (await outpost.processIds())['Outpost Engine'] ?? before).not.toBe(before);
      await outpost.waitForModel();
      return (await outpost.processIds())['Outpost Engine'] ?? 0;
    };
    const first = await enginePid();
    process.kill(first, 'SIGUSR2');
    const second = await enginePid(first);
    await expect(notice).toBeVisible();
    await lookAt(page, picture, 'lost once');
    process.kill(second, 'SIGUSR2');
    await expect(banner).toContainText('lost its GPU too often');
    await lookAt(page, picture, 'lost twice');
    await banner.getByRole('button', { name: 'Use the Processor' }).click();
    await outpost.waitForModel();
    await expect(banner).toHaveCount(0);
  });

  test('a GPU that is gone: the chat and the card say so, and the processor takes its place', async ({
    outpost,
    picture,
  }) => {
    let page = await outpost.launch({ switches: standInGpu });
    await outpost.waitForModel();
    await openModelCard(page, /^TinyLlama/);
    await modelCard(page).getByLabel('Computes on').selectOption('cuda:0');
    await expect(modelCard(page).getByRole('list', { name: 'Who has what of it' })).toContainText('Stand-in GPU');
    await outpost.close();

    page = await outpost.launch();
    const chat = page.getByRole('complementary', { name: 'Chat' });
    await expect(chat.getByRole('alert')).toContainText('The device cuda:0 cannot be used');
    await openModelCard(page, /^TinyLlama/);
    await expect(modelCard(page).getByRole('alert')).toContainText('The device cuda:0 cannot be used');
    await expect(modelCard(page).getByLabel('Computes on')).toContainText('cuda:0, which cannot be used now');
    await expect(modelCard(page).getByRole('region', { name: 'Will it fit' })).toContainText(
      'with the processor alone',
    );
    await lookAt(page, picture, 'without its GPU');
    await page.keyboard.press('Escape');
    await chat.getByRole('button', { name: 'Use the Processor' }).click();
    await outpost.waitForModel();
    await expect(chat.getByRole('alert')).toHaveCount(0);
  });

  test('a damaged model says what is wrong, and the default one can be taken', async ({ outpost, folder, picture }) => {
    const model = join(folder, 'broken.gguf');
    await writeFile(model, Buffer.concat([Buffer.from('GGUF'), Buffer.alloc(64, 0xff)]));
    const page = await outpost.launch();
    await outpost.waitForModel();
    await outpost.inMain(({ dialog }, path) => {
      dialog.showOpenDialog = async () => ({ canceled: false, filePaths: [path] });
    }, model);
    await page.keyboard.press('Control+Shift+p');
    await page.keyboard.type('choose a model');
    await page.keyboard.press('Enter');
    await expect(page.getByRole('complementary', { name: 'Chat' })).toContainText('broken.gguf');
    await picture('damaged model');
    await page.getByRole('button', { name: /default model/i }).click();
    await outpost.waitForModel();
  });

  test('without its model the window opens and says what to do', async ({ outpost, folder, picture }) => {
    const page = await outpost.launch({ model: join(folder, 'missing.gguf') });
    await expect(page.getByRole('complementary', { name: 'Chat' })).toContainText('missing.gguf');
    await picture('missing model');
    await expect(status(page)).not.toContainText('TinyLlama');
  });
});
