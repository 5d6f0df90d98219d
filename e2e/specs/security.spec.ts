// Attempts that must fail, in the real app, and what the user sees of them.
import { readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { join } from 'node:path';
import { expect, test, writeFiles } from '../support/app.ts';
import { violations } from '../support/axe.ts';
import { storeConversation } from '../support/conversations.ts';
import { file, replies, status } from '../support/window.ts';

/** A server on this machine that counts who comes. */
async function listen(): Promise<{ server: Server; url: string; visits: string[] }> {
  const visits: string[] = [];
  const server = createServer((request, response) => {
    visits.push(request.url ?? '');
    response.end('ok');
  });
  server.on('connection', () => visits.push('connection'));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  return { server, url: `http://127.0.0.1:${port}`, visits };
}

test('nothing in the app reaches the network or leads the window away, and every attempt is in the list', async ({
  outpost,
  picture,
}) => {
  const { server, url, visits } = await listen();
  const page = await outpost.launch();
  await outpost.waitForModel();
  await expect(status(page)).toContainText('0 connections');

  const outcomes = await page.evaluate(async (target) => {
    const outcome = (run: () => Promise<unknown>) =>
      run().then(
        () => 'worked',
        () => 'failed',
      );
    const loaded = (element: HTMLElement) =>
      new Promise((resolve, reject) => {
        element.addEventListener('load', resolve);
        element.addEventListener('error', reject);
        document.body.append(element);
      });
    const script = Object.assign(document.createElement('script'), { src: `${target}/a.js` });
    return {
      fetch: await outcome(() => fetch(`${target}/fetch?secret=1`)),
      image: await outcome(() => loaded(Object.assign(new Image(), { src: `${target}/image.png` }))),
      script: await outcome(() => loaded(script)),
      frame: await outcome(async () => {
        const frame = document.createElement('iframe');
        frame.src = target;
        document.body.append(frame);
        await new Promise((resolve) => setTimeout(resolve, 500));
        if (frame.contentDocument === null || frame.contentDocument.body.childElementCount === 0)
          throw new Error('empty');
      }),
      socket: await outcome(
        () =>
          new Promise((resolve, reject) => {
            const socket = new WebSocket(target.replace('http', 'ws'));
            socket.onopen = resolve;
            socket.onerror = reject;
          }),
      ),
      file: await outcome(() => fetch('file:///etc/passwd')),
      traversal: await outcome(async () => {
        const answer = await fetch('outpost://app/..%2f..%2fmain.js');
        if (!answer.ok) throw new Error(`${answer.status}`);
      }),
      eval: await outcome(async () => new Function('return 1')()),
      popup: await outcome(async () => {
        if (window.open(target) === null) throw new Error('denied');
      }),
      camera: await outcome(() => navigator.mediaDevices.getUserMedia({ video: true })),
      notifications: await outcome(async () => {
        if ((await Notification.requestPermission()) !== 'granted') throw new Error('denied');
      }),
      node: await outcome(async () => {
        const { require: load, process: node } = window as unknown as Record<string, unknown>;
        if (load === undefined && node === undefined) throw new Error('not there');
      }),
    };
  }, url);
  expect(outcomes).toEqual(Object.fromEntries(Object.keys(outcomes).map((name) => [name, 'failed'])));

  const fromMain = await outpost.electron.evaluate(
    (_electron, target) =>
      fetch(target).then(
        () => 'worked',
        (error) => error.cause?.code as string,
      ),
    url,
  );
  expect(fromMain).toBe('ENETUNREACH');
  expect(visits).toEqual([]);

  await expect(status(page)).toContainText(/0 connections, \d+ blocked/);
  await status(page)
    .getByRole('button', { name: /blocked since the start/ })
    .click();
  const dialog = page.getByRole('dialog', { name: 'Connections' });
  await expect(dialog.getByRole('row', { name: /Main process/ })).toContainText('127.0.0.1');
  await expect(dialog).not.toContainText('secret');
  await picture('connections');
  for (const colorScheme of ['dark', 'light'] as const) {
    await page.emulateMedia({ colorScheme });
    expect(await violations(page)).toEqual([]);
  }

  // From main: Playwright itself would wait for ever for a navigation that is refused.
  const address = await outpost.electron.evaluate(async ({ BrowserWindow }, target) => {
    const [window] = BrowserWindow.getAllWindows();
    for (const leave of [
      `location.href = "${target}"`,
      `location.assign("data:text/html,x")`,
      'location = "file:///"',
    ]) {
      await window?.webContents.executeJavaScript(`void (${leave})`);
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
    return window?.webContents.getURL();
  }, url);
  expect(address).toBe('outpost://app/index.html');
  expect(visits).toEqual([]);
  server.close();
  await outpost.kill();
});

test('hostile text in replies, file names and files stays text; links open only while the network is on', async ({
  outpost,
  folder,
  picture,
}) => {
  const { server, url, visits } = await listen();
  const name = '<img src=x onerror=document.title=1>.txt';
  await writeFiles(folder, { [name]: 'harmless\n', '..%2f..%2fescape.txt': 'x\n', 'a"b\'c`d.txt': 'x\n' });
  storeConversation(outpost.userData, '<b>Hostile</b>', [
    '<script>document.title = "owned"</script>',
    [
      `<img src="${url}/1.png" onerror="document.title='owned'"> ![pixel](${url}/2.png)`,
      '<script>document.title = "owned"</script>',
      `<iframe src="${url}/3"></iframe><style>@import url(${url}/4.css);</style>`,
      '[click](javascript:document.title="owned") [file](file:///etc/passwd)',
      `[http](${url}/5) <a href="${url}/6" ping="${url}/7">x</a>`,
      '```html\n<script>document.title = "owned"</script>\n```',
    ].join('\n\n'),
  ]);
  storeConversation(outpost.userData, 'Links', ['Where?', 'See [the site](https://example.com/page?q=1).']);
  const page = await outpost.launch({ folder });
  await page.getByRole('button', { name: 'Conversations' }).click();
  await page
    .getByRole('list', { name: 'Conversations' })
    .getByRole('button', { name: /Hostile/ })
    .first()
    .click();
  await expect(replies(page)).toContainText('[image: pixel]');
  const made = await replies(page).evaluate((reply) => ({
    elements: [...reply.querySelectorAll('img, script, iframe, style, object, embed, form')].length,
    links: [...reply.querySelectorAll('a')].map(({ href }) => href),
  }));
  expect(made).toEqual({ elements: 0, links: [] });
  await picture('reply');

  await file(page, name).click();
  await expect(page.getByRole('tab', { name })).toBeVisible();
  await expect(file(page, '..%2f..%2fescape.txt')).toBeVisible();
  await page.keyboard.press('Control+p');
  await page.keyboard.type('onerror');
  await expect(page.getByRole('option')).toHaveText(name);
  await page.keyboard.press('Escape');
  expect(await page.title()).not.toContain('owned');
  expect(visits).toEqual([]);
  server.close();

  await outpost.electron.evaluate(({ shell }) => {
    const opened: string[] = [];
    Object.assign(globalThis, { opened });
    shell.openExternal = async (url) => void opened.push(url);
  });
  const opened = () => outpost.electron.evaluate(() => (globalThis as unknown as { opened: string[] }).opened);
  const open = async () => {
    await page.getByRole('link', { name: 'the site' }).click();
    await page.getByRole('alertdialog').getByRole('button', { name: 'Open' }).click();
  };
  await page.getByRole('button', { name: 'Conversations' }).click();
  await page
    .getByRole('list', { name: 'Conversations' })
    .getByRole('button', { name: /^Links/ })
    .click();
  await open();
  await expect.poll(opened).toEqual(['https://example.com/page?q=1']);
  await expect(status(page)).toContainText('1 connection');

  await status(page)
    .getByRole('button', { name: /since the start/ })
    .click();
  await page.getByRole('switch', { name: 'Switch the network off' }).click();
  await page.keyboard.press('Escape');
  await open();
  await expect(page.getByRole('region', { name: 'Notifications' })).toContainText('The network is switched off');
  expect(await opened()).toHaveLength(1);
  const settings = JSON.parse(await readFile(join(outpost.userData, 'settings.json'), 'utf8'));
  expect(settings.isNetworkOff).toBe(true);
});
