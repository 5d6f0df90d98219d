// Everything that leaves the machine goes through the proxy that is set, except to hosts that are to be reached without it.
// The hub's name is one that only the proxy knows.
import { writeFile } from 'node:fs/promises';
import { type AddressInfo, connect } from 'node:net';
import { join } from 'node:path';
import { createServer } from 'node:tls';
import { selfSigned } from '../../electron/services/models/testing/test-certificate.ts';
import { TestHub } from '../../electron/services/models/testing/test-hub.ts';
import { TestProxy } from '../../electron/services/models/testing/test-proxy.ts';
import { tinyModelBytes } from '../../electron/services/models/testing/tiny-gguf.mjs';
import { expect, test } from '../support/app.ts';

/** What takes TLS away before a server that speaks HTTP. @returns its port, and how to end it */
async function withTls(host: string, port: number) {
  const server = createServer(selfSigned(host), (socket) => {
    const onward = connect(port, '127.0.0.1', () => void onward.pipe(socket).pipe(onward));
    onward.on('error', () => socket.destroy());
    socket.on('error', () => onward.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { port: (server.address() as AddressInfo).port, stop: () => server.close() };
}

test('models come through the proxy of the environment, and its failures are named', async ({ outpost, picture }) => {
  const hub = await TestHub.start({ redirects: true, storageHost: 'direct.test' });
  const bytes = tinyModelBytes({ nLayer: 1, nEmbd: 64, nCtxTrain: 128, type: 'q8_0' });
  hub.files.push({ repo: 'lab/small-GGUF', path: 'small-q8_0.gguf', bytes });
  const proxy = await TestProxy.start();
  proxy.hosts.set('hub.test', hub.port);
  proxy.login = 'an@na:secret';
  const settings = { hasSeenFirstSteps: true, hubUrl: 'http://hub.test' };
  await writeFile(join(outpost.userData, 'settings.json'), JSON.stringify(settings));
  const url = `http://an%40na:secret@${proxy.address}`;
  const none = { http_proxy: '', https_proxy: '', all_proxy: '', no_proxy: '' };
  const page = await outpost.launch({
    env: { ...none, HTTP_PROXY: url, HTTPS_PROXY: url, NO_PROXY: 'direct.test' },
    // Nobody has signed the certificate of a test's server.
    switches: ['--host-resolver-rules=MAP direct.test 127.0.0.1', '--ignore-certificate-errors'],
  });

  const dialog = page.getByRole('dialog', { name: 'Models' });
  const search = async () => {
    await page.keyboard.press('Control+Shift+m');
    await dialog.getByRole('tab', { name: 'Find models' }).click();
    await dialog.getByRole('searchbox').fill('small');
    await page.keyboard.press('Enter');
  };
  await search();
  await dialog.getByRole('button', { name: 'lab/small-GGUF' }).click();
  await dialog.getByRole('button', { name: 'Download small-q8_0.gguf' }).click();
  const here = dialog.getByRole('listitem', { name: 'small-q8_0.gguf' });
  await expect(here).toContainText('Already here', { timeout: 20_000 });
  // The hub was asked through the proxy, its storage, which NO_PROXY names, without it.
  expect(new Set(proxy.passed.map((passed) => new URL(passed).host))).toEqual(new Set(['hub.test']));
  expect(hub.requests.length).toBeGreaterThan(0);
  expect(hub.nBytesSent).toBe(bytes.length + 1); // a byte to see how long it is

  const setHub = async (hubUrl: string) => {
    await page.keyboard.press('Escape');
    await page.keyboard.press('Control+,');
    await page.getByLabel('Hub', { exact: true }).fill(hubUrl);
    await page.keyboard.press('Enter');
    await page.keyboard.press('Escape');
  };
  // A hub over HTTPS is reached by a tunnel, of which the proxy sees the host and nothing of what is asked.
  const secure = await withTls('secure.test', hub.port);
  proxy.hosts.set('secure.test', secure.port);
  const [nPassed, nAsked] = [proxy.passed.length, hub.requests.length];
  await dialog.getByRole('button', { name: 'Back to the results' }).click();
  await setHub('https://secure.test');
  hub.options.redirects = false;
  await search();
  await dialog.getByRole('button', { name: 'lab/small-GGUF' }).click();
  await dialog.getByRole('button', { name: 'Will It Fit? small-q8_0.gguf' }).click();
  await expect(dialog.getByRole('region', { name: 'Will it fit' })).toContainText('Fits:');
  expect(hub.requests.length).toBeGreaterThan(nAsked);
  expect(new Set(proxy.passed.slice(nPassed))).toEqual(new Set(['secure.test:443']));
  secure.stop();
  await dialog.getByRole('button', { name: 'Back to the results' }).click();
  await setHub('http://hub.test');

  const alert = dialog.getByRole('alert');
  proxy.login = 'an@na:another';
  await search();
  await expect(alert).toContainText(`The proxy ${proxy.address} does not take the name and the password`);
  await expect(alert).toContainText('http://name:password@host:port');

  // A tunnel that is refused.
  proxy.login = null;
  await setHub('https://elsewhere.test');
  await search();
  await expect(alert).toContainText(`The proxy ${proxy.address} does not let Outpost through`);
  expect(proxy.passed.at(-1)).toBe('elsewhere.test:443');

  const { address } = proxy;
  await proxy.stop();
  await dialog.getByRole('button', { name: 'Try Again' }).click();
  await expect(alert).toContainText(`The proxy ${address} could not be reached, so elsewhere.test was not asked.`);
  await picture('unreachable');
  await hub.stop();
});
