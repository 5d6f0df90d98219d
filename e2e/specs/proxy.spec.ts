// Everything that leaves the machine goes through the proxy that is set, except to hosts that are to be reached without it.
// The hub's name is one that only the proxy knows.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { TestHub } from '../../electron/services/models/testing/test-hub.ts';
import { TestProxy } from '../../electron/services/models/testing/test-proxy.ts';
import { tinyModelBytes } from '../../electron/services/models/testing/tiny-gguf.mjs';
import { expect, test } from '../support/app.ts';

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
    switches: ['--host-resolver-rules=MAP direct.test 127.0.0.1'],
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
  await expect(dialog.getByRole('listitem', { name: /^small/ })).toContainText('Already here', { timeout: 20_000 });
  // The hub was asked through the proxy, its storage, which NO_PROXY names, without it.
  expect(new Set(proxy.passed.map((passed) => new URL(passed).host))).toEqual(new Set(['hub.test']));
  expect(hub.requests.length).toBeGreaterThan(0);
  expect(hub.nBytesSent).toBe(bytes.length + 1); // a byte to see how long it is

  const alert = dialog.getByRole('alert');
  proxy.login = 'an@na:another';
  await dialog.getByRole('button', { name: 'Back to the results' }).click();
  await page.keyboard.press('Escape');
  await search();
  await expect(alert).toContainText(`The proxy ${proxy.address} does not take the name and the password`);
  await expect(alert).toContainText('http://name:password@host:port');

  // A tunnel that is refused.
  proxy.login = null;
  await page.keyboard.press('Escape');
  await page.keyboard.press('Control+,');
  await page.getByLabel('Hub', { exact: true }).fill('https://elsewhere.test');
  await page.keyboard.press('Enter');
  await page.keyboard.press('Escape');
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
