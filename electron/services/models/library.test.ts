// The library and the care of its files, on real files: what is in a folder, and what happens to it.
import { existsSync } from 'node:fs';
import { mkdir, open, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { toErrorInfo } from '../../common/error-info.ts';
import { type KvCheck, kvPresetsRevision } from '../../common/kv-check.ts';
import { temporaryFolder } from '../../testing/temporary-folder.ts';
import { Downloads } from './downloads.ts';
import { Library, partsOf, readFacts } from './library.ts';
import { ModelCare } from './model-care.ts';
import { findModels, findOthersModels } from './model-folders.ts';
import { ModelSources } from './model-sources.ts';
import { RateLimit } from './rate-limit.ts';
import { nodeHttp } from './testing/node-http.ts';
import { splitModel } from './testing/split-gguf.mjs';
import { TestHub } from './testing/test-hub.ts';
import { tinyModelBytes } from './testing/tiny-gguf.mjs';

const tiny = Buffer.from(tinyModelBytes({ nLayer: 2, nEmbd: 64, nCtxTrain: 256 }));
const parts = splitModel(tiny, 3);
const partName = (i: number) => `tiny-0000${i + 1}-of-00003.gguf`;

async function setUp() {
  const folder = await temporaryFolder();
  const models = join(folder, 'models');
  await mkdir(models);
  const hub = await TestHub.start();
  onTestFinished(() => hub.stop());
  vi.stubEnv('OUTPOST_DEFAULT_MODEL', join(folder, 'default.gguf'));
  await writeFile(join(folder, 'default.gguf'), tiny);
  const library = new Library(join(folder, 'models.json'), () => {});
  await library.refresh();
  const settings = () => ({ hubUrl: hub.url }) as ReturnType<ConstructorParameters<typeof ModelSources>[0]['settings']>;
  const sources = new ModelSources({ settings, token: () => null, http: () => nodeHttp, folder: () => models });
  const downloads = new Downloads({
    path: join(folder, 'downloads.json'),
    tools: () => ({
      get: nodeHttp,
      limit: new RateLimit(() => 0),
      nConnections: 2,
      partBytes: 16_384,
      idleMs: 1000,
      retryMs: () => 1,
      freeBytes: async () => 2 ** 40,
    }),
    token: () => null,
    assemble: async () => '',
    onDone: async ({ source }, [first = ''], isVerified) => {
      await library.add(first, 'downloaded', { source, verifiedAtMs: isVerified ? 1 : null });
    },
    isInLibrary: (path) => library.hasFile(path),
    onChange: () => {},
  });
  const unused = () => Promise.reject(new Error('Not in this test.'));
  const onMeasured = () => {};
  const care = new ModelCare({
    library,
    downloads,
    onMeasured,
    specOf: () => {
      throw new Error('Not in this test.');
    },
    selfTest: unused,
    benchmark: unused,
    checkKv: unused,
    onKvCheck: () => {},
    onNotice: () => {},
  });
  const codeOf = (result: Promise<unknown>) =>
    result.then(
      () => 'OK',
      (error: unknown) => toErrorInfo(error).code,
    );
  /** Downloads a model of the hub, and waits for it. @returns its id */
  const fetched = async (path: string) => {
    downloads.add(await sources.fromHub('lab/tiny', path));
    await expect.poll(() => downloads.list(), { timeout: 5000 }).toEqual([]);
    const model = library.list().find((candidate) => candidate.path.endsWith(path));
    if (!model) throw new Error(`${path} did not come into the library.`);
    return model.id;
  };
  return { folder, models, hub, library, downloads, care, sources, codeOf, fetched };
}

/** Another byte at a place in the middle. */
async function damage(path: string): Promise<void> {
  const file = await open(path, 'r+');
  const { size } = await file.stat();
  const byte = Buffer.alloc(1);
  await file.read(byte, 0, 1, size - 100);
  await file.write(Buffer.from([(byte[0] ?? 0) ^ 1]), 0, 1, size - 100);
  await file.close();
}

describe('a model in several files', () => {
  it('is fetched, known as one, checked, mended and deleted as one', async () => {
    const { hub, library, care, codeOf, downloads, fetched, sources } = await setUp();
    for (const [i, bytes] of parts.entries()) hub.files.push({ repo: 'lab/tiny', path: partName(i), bytes });
    const whole = await sources.remoteFacts('lab/tiny', partName(0));
    const id = await fetched(partName(0));
    const model = library.mustGet(id);
    expect(model).toMatchObject({ state: 'ready', verifiedAtMs: 1, bytes: Buffer.concat(parts).length });
    expect(model.files).toHaveLength(3);
    // All of its weights, not only those of the first file.
    const { nParams, packedBytes, readPerToken } = library.mustGet('catalog:tinyllama-1.1b-chat-iq2_xxs').facts ?? {};
    expect(model.facts).toMatchObject({ nParams, packedBytes, readPerToken });
    expect(whole).toEqual(model.facts);

    expect(await codeOf(care.verify(id))).toBe('OK');
    await damage(model.files[1] ?? '');
    expect(await codeOf(care.verify(id))).toBe('DOWNLOAD_MISMATCH');
    expect(library.mustGet(id)).toMatchObject({ state: 'damaged', verifiedAtMs: null });
    expect(library.mustGet(id).problem?.message).toContain(partName(1));
    hub.requests.length = 0;
    await care.repair(id);
    await expect.poll(() => downloads.list(), { timeout: 5000 }).toEqual([]);
    expect(library.mustGet(id)).toMatchObject({ state: 'ready', verifiedAtMs: 1 });
    for (const [i, bytes] of parts.entries()) expect(await readFile(model.files[i] ?? '')).toEqual(Buffer.from(bytes));
    // Each file is looked at, and one part of one file is fetched.
    expect(hub.requests.filter(({ range }) => range !== null && range !== 'bytes=0-0')).toHaveLength(1);

    expect(await library.remove(id)).toBe(Buffer.concat(parts).length);
    expect(await readdir(dirname(model.path))).toEqual([]);
  });

  it('is missing if a file of it is, and no part is a model', async () => {
    const { models, library, codeOf } = await setUp();
    for (const [i, bytes] of parts.entries()) await writeFile(join(models, partName(i)), bytes);
    expect(partsOf(join(models, partName(0)))).toHaveLength(3);
    const { id } = await library.add(join(models, partName(0)), 'linked');
    expect(await codeOf(library.add(join(models, partName(1)), 'linked'))).toBe('MODEL_INVALID');
    await rm(join(models, partName(2)));
    await library.refresh();
    expect(library.mustGet(id).state).toBe('missing');
    expect((await findModels(models, 'here')).map(({ path }) => path)).toEqual([join(models, partName(0))]);
  });
});

describe('a file of the library', () => {
  it('that is only linked stays where it is when it leaves the list', async () => {
    const { folder, library } = await setUp();
    const path = join(folder, 'mine.gguf');
    await writeFile(path, tiny);
    const { id } = await library.add(path, 'linked');
    expect(await library.remove(id)).toBe(0);
    expect(existsSync(path)).toBe(true);
    expect(library.get(id)).toBeUndefined();
  });

  it('that was cut off, or is none, is refused with what is wrong', async () => {
    const { folder, library, codeOf } = await setUp();
    await writeFile(join(folder, 'cut.gguf'), tiny.subarray(0, tiny.length / 2));
    await writeFile(join(folder, 'none.gguf'), 'a text');
    expect(await codeOf(library.add(join(folder, 'cut.gguf'), 'imported'))).toBe('MODEL_INVALID');
    expect(await codeOf(library.add(join(folder, 'none.gguf'), 'imported'))).toBe('MODEL_INVALID');
    expect(await codeOf(readFacts(join(folder, 'gone.gguf')))).toBe('FILE_NOT_FOUND');
  });

  it('keeps what is known of it from start to start, until the file is another', async () => {
    const { folder, library } = await setUp();
    const path = join(folder, 'mine.gguf');
    await writeFile(path, tiny);
    const { id } = await library.add(path, 'imported');
    const benchmark = { atMs: 1, nPrompt: 8, prefillTokensPerSecond: 9, nDecoded: 9, decodeTokensPerSecond: 5 };
    library.change(id, { notes: 'good', benchmark, overrides: { sampler: { topK: 3 } } });
    const again = new Library(join(folder, 'models.json'), () => {});
    await again.refresh();
    expect(again.mustGet(id)).toMatchObject({ notes: 'good', benchmark, overrides: { sampler: { topK: 3 } } });
    await writeFile(path, tinyModelBytes({ nLayer: 1, nEmbd: 64, nCtxTrain: 256 }));
    await again.refresh();
    expect(again.mustGet(id)).toMatchObject({ notes: 'good', benchmark: null, facts: { nLayer: 1 } });
  });

  it('is not known by a check of presets that stood for other bits', async () => {
    const { folder, library } = await setUp();
    const path = join(folder, 'mine.gguf');
    await writeFile(path, tiny);
    const { id } = await library.add(path, 'imported');
    const kvCheck: KvCheck = {
      revision: kvPresetsRevision,
      atMs: 1,
      chosen: 'compact',
      nTokens: 500,
      results: [],
      problem: null,
    };
    library.change(id, { notes: 'good', kvCheck });
    const stored = join(folder, 'models.json');
    expect(new Library(stored, () => {}).mustGet(id)).toMatchObject({ notes: 'good', kvCheck });
    const text = await readFile(stored, 'utf8');
    await writeFile(stored, text.replace(`"revision": ${kvPresetsRevision}`, '"revision": 1'));
    expect(new Library(stored, () => {}).mustGet(id)).toMatchObject({ notes: 'good', kvCheck: null });
  });
});

describe('moving the folder of models', () => {
  it('takes what was downloaded along, and nothing else', async () => {
    const { folder, models, hub, library, care, fetched } = await setUp();
    hub.files.push({ repo: 'lab/tiny', path: 'tiny.gguf', bytes: tiny });
    const id = await fetched('tiny.gguf');
    const linked = join(models, 'mine.gguf');
    await writeFile(linked, tiny);
    await library.add(linked, 'linked');
    const moved: string[][] = [];
    await care.moveAll(models, join(folder, 'elsewhere'), (from, to) => moved.push([from, to]));
    const to = join(folder, 'elsewhere', 'lab--tiny', 'tiny.gguf');
    expect(moved).toEqual([[id, `file:${to}`]]);
    expect(library.mustGet(`file:${to}`)).toMatchObject({ state: 'ready', path: to });
    expect([existsSync(to), existsSync(`${to}.parts`), existsSync(linked)]).toEqual([true, true, true]);
    expect(existsSync(id.slice('file:'.length))).toBe(false);
  });
});

describe('a folder as the hub', () => {
  it('is searched, listed and copied from like a server, by hashes beside the files', async () => {
    const { folder, models } = await setUp();
    const stick = join(folder, 'stick');
    await mkdir(join(stick, 'lab', 'tiny'), { recursive: true });
    await writeFile(join(stick, 'lab', 'tiny', 'tiny.gguf'), tiny);
    await writeFile(join(stick, 'lab', 'tiny', 'tiny.gguf.sha256'), `${'0'.repeat(64)}  tiny.gguf\n`);
    await writeFile(join(stick, 'loose.gguf'), tiny);
    const settings = () => ({ hubUrl: stick }) as ReturnType<ConstructorParameters<typeof ModelSources>[0]['settings']>;
    const sources = new ModelSources({ settings, token: () => null, http: () => nodeHttp, folder: () => models });
    expect((await sources.search('tiny', undefined)).map(({ repo }) => repo)).toEqual(['lab/tiny']);
    expect(await sources.remoteFacts('lab/tiny', 'tiny.gguf')).toMatchObject({ architecture: 'llama', nLayer: 2 });
    const queued = await sources.fromHub('lab/tiny', 'tiny.gguf');
    expect(queued.files[0]).toMatchObject({ bytes: tiny.length, hash: { hex: '0'.repeat(64) } });
  });
});

describe('models of other programs', () => {
  it('are found where these keep them', async () => {
    const home = await temporaryFolder();
    const put = async (path: string, bytes: Uint8Array | string) => {
      await mkdir(dirname(join(home, path)), { recursive: true });
      await writeFile(join(home, path), bytes);
    };
    await put('.lmstudio/models/lab/tiny/tiny.gguf', tiny);
    await put('.lmstudio/models/lab/tiny/mmproj-tiny.gguf', tiny);
    const digest = 'a'.repeat(64);
    await put(`.ollama/models/blobs/sha256-${digest}`, tiny);
    const layer = { mediaType: 'application/vnd.ollama.image.model', digest: `sha256:${digest}`, size: tiny.length };
    await put('.ollama/models/manifests/registry/library/tiny/latest', JSON.stringify({ layers: [layer] }));
    await put('.ollama/models/manifests/registry/library/broken/latest', '{');
    expect((await findOthersModels(home)).map(({ program }) => program)).toEqual(['LM Studio', 'Ollama']);
  });
});
