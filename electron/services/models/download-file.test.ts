import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { type FileHandle, open, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { toErrorInfo } from '../../common/error-info.ts';
import { temporaryFolder } from '../../testing/temporary-folder.ts';
import { downloadFile } from './download-file.ts';
import { type DownloadSource, type DownloadTools, journalPath, unfinishedPath } from './parts.ts';
import { RateLimit } from './rate-limit.ts';
import { nodeHttp } from './testing/node-http.ts';
import { type Fault, type HubFile, TestHub } from './testing/test-hub.ts';

const partBytes = 4096;
const nBytes = 10 * partBytes + 123;

/** mulberry32: small, and the same on every machine. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const content = Buffer.from(
  Uint8Array.from(
    { length: nBytes },
    (
      (next) => () =>
        next() * 256
    )(random(1)),
  ),
);
const sha256 = createHash('sha256').update(content).digest('hex');

const tools: DownloadTools = {
  get: nodeHttp,
  limit: new RateLimit(() => 0),
  nConnections: 3,
  partBytes,
  idleMs: 150,
  retryMs: () => 1,
  freeBytes: async () => 2 ** 40,
};

async function setUp(options: TestHub['options'] = {}) {
  const folder = await temporaryFolder();
  const hub = await TestHub.start(options);
  onTestFinished(() => hub.stop());
  const served: HubFile = { repo: 'lab/model', path: 'model.gguf', bytes: content };
  hub.files.push(served);
  const path = join(folder, 'models', 'model.gguf');
  const source: DownloadSource = {
    url: hub.fileUrl('lab/model', 'model.gguf'),
    token: null,
    bytes: nBytes,
    hash: { algorithm: 'sha256', hex: sha256 },
  };
  const run = (
    changes: { source?: Partial<DownloadSource>; tools?: Partial<DownloadTools>; signal?: AbortSignal } = {},
  ) =>
    downloadFile(
      { ...source, ...changes.source },
      path,
      { ...tools, ...changes.tools },
      changes.signal ?? new AbortController().signal,
      () => {},
    );
  const codeOf = (result: Promise<unknown>) =>
    result.then(
      () => 'OK',
      (error: unknown) => toErrorInfo(error).code,
    );
  return { hub, served, path, run, codeOf };
}

describe('a download', () => {
  it('arrives whole, in parts, through redirects', async () => {
    const { hub, path, run } = await setUp({ redirects: true });
    expect(await run()).toEqual({ bytes: nBytes, sha256, isVerified: true });
    expect((await readFile(path)).equals(content)).toBe(true);
    expect(new Set(hub.requests.map(({ range }) => range)).size).toBe(12); // eleven parts and the probe
    expect([existsSync(unfinishedPath(path)), existsSync(journalPath(path))]).toEqual([false, false]);
  });

  it('arrives from a server without ranges, and without a hash to compare', async () => {
    const { path, run } = await setUp({ hasRanges: false });
    expect(await run({ source: { hash: null, bytes: null } })).toEqual({ bytes: nBytes, sha256, isVerified: false });
    expect((await readFile(path)).equals(content)).toBe(true);
  });

  it('goes on where it was stopped, and fetches nothing twice', async () => {
    const { hub, path, run, codeOf } = await setUp();
    const stop = new AbortController();
    hub.options.fault = (_request, n) => {
      if (n === 6) stop.abort(new DOMException('Paused.', 'AbortError'));
      return 'none';
    };
    await expect(run({ signal: stop.signal })).rejects.toThrow('Paused.');
    expect(existsSync(path)).toBe(false);
    const journal = (await readFile(journalPath(path), 'utf8')).trim().split('\n').slice(1);
    hub.requests.length = 0;
    hub.options.fault = () => 'none';
    expect(await codeOf(run())).toBe('OK');
    expect(hub.requests).toHaveLength(1 + 11 - journal.length);
    expect((await readFile(path)).equals(content)).toBe(true);
  });

  it('goes on in the middle of a part, unless what is there of it is not what arrived', async () => {
    const large = Buffer.alloc(3 << 20, content);
    const hash = { algorithm: 'sha256' as const, hex: createHash('sha256').update(large).digest('hex') };
    for (const isDamaged of [false, true]) {
      const { hub, served, path, run } = await setUp();
      served.bytes = large;
      const changes = { source: { bytes: large.length, hash }, tools: { partBytes: 4 << 20 } };
      hub.options.fault = (_request, n) => (n === 0 ? 'none' : n === 1 ? 'drop' : 'refuse');
      await expect(run(changes)).rejects.toThrow();
      if (isDamaged) {
        const file = await open(unfinishedPath(path), 'r+');
        await file.write(Buffer.from([1, 2, 3, 4]), 0, 4, 1000);
        await file.close();
      }
      hub.requests.length = 0;
      hub.options.fault = () => 'none';
      await run(changes);
      expect((await readFile(path)).equals(large)).toBe(true);
      const start = Number(/bytes=(\d+)-/.exec(hub.requests[1]?.range ?? '')?.[1]);
      if (isDamaged) expect(start).toBe(0);
      else expect(start).toBeGreaterThan(1 << 20);
    }
  });

  it('finds a byte that changed on the disk, and fetches only its part again', async () => {
    const { hub, path, run } = await setUp();
    const stop = new AbortController();
    hub.options.fault = (_request, n) => (n === 9 ? 'refuse' : 'none');
    await expect(
      run({ tools: { retryMs: () => 1e6 }, signal: AbortSignal.any([stop.signal, AbortSignal.timeout(300)]) }),
    ).rejects.toThrow();
    const file = await open(unfinishedPath(path), 'r+');
    await file.write(Buffer.from([(content[partBytes + 7] ?? 0) ^ 1]), 0, 1, partBytes + 7);
    await file.close();
    hub.requests.length = 0;
    hub.options.fault = () => 'none';
    await run();
    expect((await readFile(path)).equals(content)).toBe(true);
    const fetched = hub.requests.map(({ range }) => range);
    expect(fetched).toContain(`bytes=${partBytes}-${2 * partBytes - 1}`);
    expect(fetched.length).toBeLessThan(6);
  });

  it('finds a part that arrived wrong by fetching again, and stops looking when the whole is right', async () => {
    let nLies = 0;
    const { hub, path, run } = await setUp({
      fault: ({ range }) => (range?.startsWith(`bytes=${2 * partBytes}-`) && nLies++ === 0 ? 'wrongByte' : 'none'),
    });
    expect(await run()).toMatchObject({ sha256, isVerified: true });
    expect((await readFile(path)).equals(content)).toBe(true);
    expect(hub.requests).toHaveLength(1 + 11 + 3);
  });

  it('never keeps a file that is not the one that was promised', async () => {
    const { served, path, run, codeOf } = await setUp();
    served.bytes = Buffer.from(content).fill(7, 5000, 5001);
    expect(await codeOf(run())).toBe('DOWNLOAD_MISMATCH');
    expect(existsSync(path)).toBe(false);
    served.bytes = content;
    expect(await codeOf(run())).toBe('OK');
    expect((await readFile(path)).equals(content)).toBe(true);
  });

  it('says what stands in the way', async () => {
    const { hub, path, run, codeOf } = await setUp({ gated: { repo: 'lab/model', token: 'secret' }, redirects: true });
    expect(await codeOf(run())).toBe('HUB_GATED');
    expect(await codeOf(run({ source: { token: 'wrong' } }))).toBe('HUB_GATED');
    expect(await codeOf(run({ source: { bytes: nBytes + 1, token: 'secret' } }))).toBe('DOWNLOAD_MISMATCH');
    expect(await codeOf(run({ source: { token: 'secret' }, tools: { freeBytes: async () => 1000 } }))).toBe(
      'DISK_FULL',
    );
    hub.requests.length = 0;
    expect(await codeOf(run({ source: { token: 'secret' } }))).toBe('OK');
    // The token stays with the hub: where it redirects to is another host.
    expect(new Set(hub.requests.map(({ authorization }) => authorization))).toEqual(new Set([null]));
    await writeFile(path, 'mine');
    expect(await codeOf(run({ source: { token: 'secret' } }))).toBe('FILE_EXISTS');
    expect(await readFile(path, 'utf8')).toBe('mine');
    expect(await codeOf(run({ source: { url: hub.fileUrl('lab/model', 'gone.gguf') } }))).toBe('FILE_EXISTS');
  });

  it('does not wait for a server that takes the connection and never answers', async () => {
    const { run, codeOf } = await setUp({ fault: () => 'silent' });
    expect(await codeOf(run({ tools: { idleMs: 20 } }))).toBe('NETWORK_FAILED');
  });

  it('starts over if the file was replaced and nothing tells the two apart but its version', async () => {
    const { hub, served, path, run, codeOf } = await setUp();
    const source = { hash: null, bytes: null };
    hub.options.fault = (_request, n) => (n > 5 ? 'refuse' : 'none');
    expect(await codeOf(run({ source }))).toBe('NETWORK_FAILED');
    const other = Buffer.from(content.map((byte) => byte ^ 0xff));
    served.bytes = other;
    hub.options.fault = () => 'none';
    expect(await codeOf(run({ source }))).toBe('OK');
    expect((await readFile(path)).equals(other)).toBe(true);
  });

  it('pays for every byte at the rate of the limit, but for the last piece of each part', async () => {
    const { run } = await setUp();
    let nowMs = 0;
    const waits: number[] = [];
    const limit = new RateLimit(
      () => 1000,
      () => nowMs,
      async (ms) => {
        waits.push(ms);
        nowMs += ms;
      },
    );
    await limit.take(500, new AbortController().signal);
    await limit.take(250, new AbortController().signal);
    expect(waits).toEqual([500, 250]);
    // A file in one part arrives in pieces, as its server writes them.
    waits.length = 0;
    await run({ tools: { limit, nConnections: 1, partBytes: 2 * nBytes } });
    const nPaid = waits.reduce((sum, ms) => sum + ms, 0);
    expect(nPaid).toBeLessThanOrEqual(nBytes);
  });

  it('stops before the disk is full, and goes on when there is room again', async () => {
    let free = 2 ** 40;
    const { hub, path, run, codeOf } = await setUp({
      fault: (_request, n) => {
        if (n === 5) free = 1000; // another program took it
        return 'none';
      },
    });
    expect(await codeOf(run({ tools: { freeBytes: async () => free, nConnections: 1 } }))).toBe('DISK_FULL');
    expect(existsSync(path)).toBe(false);
    hub.requests.length = 0;
    free = 2 ** 40;
    expect(await codeOf(run({ tools: { freeBytes: async () => free } }))).toBe('OK');
    expect((await readFile(path)).equals(content)).toBe(true);
    expect(hub.requests.length).toBeLessThan(12); // not from the beginning
  });
});

describe('a disk that is nearly full', () => {
  /** Of all open files. */
  async function fileHandles(): Promise<{ write: FileHandle['write'] }> {
    const handle = await open(join(await temporaryFolder(), 'any'), 'w');
    await handle.close();
    return Object.getPrototypeOf(handle);
  }

  it('may take less than it is given: the rest is written after that', async () => {
    const handles = await fileHandles();
    const { write } = handles;
    const spy = vi.spyOn(handles, 'write').mockImplementation(function (
      this: FileHandle,
      ...[data, offset, length, position]: unknown[]
    ) {
      const half = Math.ceil((length as number) / 2);
      return Reflect.apply(write, this, [data, offset, half, position]) as never;
    });
    onTestFinished(() => spy.mockRestore());
    const { path, run, codeOf } = await setUp();
    expect(await codeOf(run({ source: { hash: null } }))).toBe('OK');
    expect((await readFile(path)).equals(content)).toBe(true);
  });

  it('refuses a write: what has arrived is kept, and there is no file in place', async () => {
    const handles = await fileHandles();
    const full = Object.assign(new Error('ENOSPC: no space left on device, write'), {
      code: 'ENOSPC',
      syscall: 'write',
    });
    const { write } = handles;
    let nWrites = 0;
    const spy = vi.spyOn(handles, 'write').mockImplementation(function (this: FileHandle, ...words: unknown[]) {
      if (++nWrites > 5) return Promise.reject(full) as never;
      return Reflect.apply(write, this, words) as never;
    });
    const { hub, path, run, codeOf } = await setUp();
    expect(await codeOf(run({ tools: { nConnections: 1 } }))).toBe('DISK_FULL');
    expect(existsSync(path)).toBe(false);
    spy.mockRestore();
    hub.requests.length = 0;
    expect(await codeOf(run())).toBe('OK');
    expect((await readFile(path)).equals(content)).toBe(true);
    expect(hub.requests.length).toBeLessThan(12); // not from the beginning
  });
});

const faults: Fault[] = [
  'drop',
  'stall',
  'short',
  'long',
  'wrongByte',
  'wrongRange',
  'lyingRange',
  'tooMany',
  'broken',
  'notSatisfiable',
  'whole',
  'refuse',
];

describe('for random faults', () => {
  // Whatever a server and a restart do: the exact file, or none and an error, and then a healthy server ends it well.
  it.each(Array.from({ length: 30 }, (_, seed) => seed))('seed %i', async (seed) => {
    const next = random(seed * 7919 + 1);
    const rate = [0.1, 0.3, 0.7][seed % 3] ?? 0;
    const { hub, path, run, codeOf } = await setUp({
      hasRanges: next() > 0.15,
      hasEtags: next() > 0.3,
      redirects: next() > 0.5,
      fault: () => (next() < rate ? (faults[Math.floor(next() * faults.length)] ?? 'none') : 'none'),
    });
    for (let attempt = 0; attempt < 3 && !existsSync(path); attempt++) {
      const stop = new AbortController();
      const timer = setTimeout(() => stop.abort(new DOMException('Restart.', 'AbortError')), 20 + next() * 300);
      const freeBytes = async () => (next() < rate / 5 ? 1000 : 2 ** 40);
      const code = await run({ signal: stop.signal, tools: { idleMs: 40, freeBytes } }).then(
        () => 'OK',
        (error: unknown) => (stop.signal.aborted ? 'stopped' : toErrorInfo(error).code),
      );
      clearTimeout(timer);
      expect(['OK', 'stopped', 'NETWORK_FAILED', 'DOWNLOAD_MISMATCH', 'DISK_FULL']).toContain(code);
      expect(existsSync(path)).toBe(code === 'OK');
      if (next() < 0.5 && existsSync(journalPath(path))) {
        // A crash that cut the journal off.
        const journal = await readFile(journalPath(path));
        await writeFile(journalPath(path), journal.subarray(0, Math.floor(next() * journal.length)));
      }
    }
    hub.options.fault = () => 'none';
    if (!existsSync(path)) expect(await codeOf(run())).toBe('OK');
    expect((await readFile(path)).equals(content)).toBe(true);
  });
});
