// Attempts that must fail, in the real app, and what the user sees of them.
import { readFile, symlink } from 'node:fs/promises';
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

  const fromMain = await outpost.inMain(
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
  const address = await outpost.inMain(async ({ BrowserWindow }, target) => {
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
  const page = await outpost.launch({ folder, hasTinyModel: true });
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

  await outpost.inMain(({ shell }) => {
    const opened: string[] = [];
    Object.assign(globalThis, { opened });
    shell.openExternal = async (url) => void opened.push(url);
  });
  const opened = () => outpost.inMain(() => (globalThis as unknown as { opened: string[] }).opened);
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

test('a window that was taken over reaches nothing outside of the folder, and brings no process down', async ({
  outpost,
  folder,
}) => {
  test.skip(process.platform === 'win32', 'Links need a right there.');
  const project = join(folder, 'project');
  await writeFiles(folder, { 'secret.txt': 'xyzzy\n', 'project/a.txt': 'a\n' });
  await symlink('../secret.txt', join(project, 'link.txt'));
  await symlink('..', join(project, 'up'));
  const page = await outpost.launch({ folder: project });
  await outpost.waitForModel();
  const before = await outpost.processIds();

  await file(page, 'link.txt').click();
  await expect(page.getByRole('main')).toContainText('link.txt cannot be shown');
  await expect(page.getByRole('main')).toContainText('link.txt is not inside the open folder.');

  const text = { text: 'overwritten', encoding: 'utf8', version: null, overwrite: true };
  const outside = ['../secret.txt', 'up/secret.txt', 'a/../../secret.txt', join(folder, 'secret.txt')];
  const attempts: [port: string, procedure: string, input: unknown][] = [
    ...[...outside, 'link.txt'].flatMap((path): typeof attempts => [
      ['workspace', '/read', { path }],
      ['workspace', '/write', { path, ...text }],
    ]),
    ...outside.flatMap((path): typeof attempts => [
      ['workspace', '/rename', { from: 'a.txt', to: `${path}.new` }],
      ['workspace', '/rename', { from: path, to: 'mine.txt' }],
      ['workspace', '/createDirectory', { path: `${path}.folder` }],
      ['workspace', '/trash', { path }],
    ]),
    ...['..', 'up', '/'].map((path): (typeof attempts)[0] => ['workspace', '/list', { path }]),
    ['workspace', '/trash', { path: '' }],
    ['workspace', '/read', { path: 'a.txt\0.png' }],
    ['workspace', '/setRoot', { root: '/' }],
    ['app', '/workspace/open', { recentRoot: '/' }],
    ['app', '/shell/openExternal', { url: 'file:///etc/passwd' }],
  ];
  const { answers, after } = await page.evaluate(async (calls) => {
    // Ports are for whoever runs in the page: ask for some, as a script that got in would.
    const ports = new Map<string, MessagePort>();
    const areHere = new Promise<void>((resolve) => {
      window.addEventListener('message', ({ data, ports: [port] }) => {
        if (data?.type === 'outpost:port' && port) ports.set(data.name, port);
        if (ports.has('app') && ports.has('workspace')) resolve();
      });
    });
    window.dispatchEvent(new Event('outpost:ready'));
    await areHere;
    let nCalls = 0;
    const call = (name: string, u: string, json: unknown): Promise<string> => {
      const i = `attack-${++nCalls}`;
      return new Promise((resolve) => {
        ports.get(name)?.addEventListener('message', ({ data }) => {
          const { i: id, p } = JSON.parse(data);
          if (id === i) resolve(p.b?.json?.code ?? (p.s ? `status ${p.s}` : JSON.stringify(p.b?.json)));
        });
        ports.get(name)?.postMessage(JSON.stringify({ i, p: { u, b: { json } } }));
      });
    };
    const answers: string[] = [];
    for (const args of calls) answers.push(await call(...args));
    // What is no call at all, and one that is longer than any.
    const junk = ['{', 'null', '{"i":1}', null, {}, new ArrayBuffer(8), '['.repeat(100_000), 'x'.repeat(97 * 2 ** 20)];
    for (const port of ports.values()) for (const message of junk) port.postMessage(message);
    return { answers, after: await call('workspace', '/read', { path: 'a.txt' }) };
  }, attempts);
  attempts.forEach(([, procedure, input], i) => {
    const expected = { '/setRoot': 'status 404', '/shell/openExternal': 'INTERNAL' }[procedure] ?? 'OUTSIDE_WORKSPACE';
    expect(answers[i], `${procedure} ${JSON.stringify(input)}`).toBe(expected);
  });
  expect(JSON.parse(after)).toMatchObject({ text: 'a\n' });
  expect(await readFile(join(folder, 'secret.txt'), 'utf8')).toBe('xyzzy\n');
  expect(await readFile(join(project, 'a.txt'), 'utf8')).toBe('a\n');
  expect(await outpost.processIds()).toEqual(before);
});
