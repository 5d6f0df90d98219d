// One file from a URL to its place on disk. What is there in the end is the exact file, or nothing: parts are written
// beside it, the whole is hashed, and only then it gets its name. Whatever happens before leaves what is needed to go on.
import { createHash } from 'node:crypto';
import type { Stats } from 'node:fs';
import { mkdir, open, rename, rm, stat, statfs, truncate } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { appError } from '../../common/app-error.ts';
import { asDiskError } from './disk-errors.ts';
import { hashRange } from './file-hash.ts';
import { Journal } from './journal.ts';
import { type Beginning, PartLoader, type RemoteFile } from './part-loader.ts';
import {
  countParts,
  type DownloadProgress,
  type DownloadSource,
  type DownloadTools,
  type Filling,
  journalPath,
  partRange,
  partsPath,
  unfinishedPath,
} from './parts.ts';
import { repairByFetchingAgain } from './repair.ts';

export interface DownloadResult {
  bytes: number;
  sha256: string;
  /** Whether the hash was known before. */
  isVerified: boolean;
}

/** How often the journal notes how far a part is: what a crash costs, on each connection. */
const noteBytes = 512 << 10;
/** Left free on the disk: a full one breaks other programs. */
const reserveBytes = 64 * 2 ** 20;

export async function freeBytesOf(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder);
  return bavail * bsize;
}

/** Everything that an unfinished download left. */
export async function discardDownload(path: string): Promise<void> {
  await rm(unfinishedPath(path), { force: true });
  await Journal.remove(journalPath(path));
}

/** A sparse file has its full length from the start; what it takes on the disk are its blocks. */
function takenBytes(file: Stats | null, bytes: number): number {
  return file ? Math.min(bytes, file.blocks * 512) : 0;
}

/** About as much of a file as is on the disk, whole or not. */
export async function arrivedBytes(path: string): Promise<number> {
  const whole = await stat(path).catch(() => null);
  if (whole) return whole.size;
  const unfinished = await stat(unfinishedPath(path)).catch(() => null);
  return takenBytes(unfinished, unfinished?.size ?? 0);
}

/**
 * @param path where the file is to be; a file that is there is never replaced
 * @throws the signal's reason; FILE_EXISTS, DISK_FULL, NETWORK_FAILED, HUB_GATED, NOT_FOUND, DOWNLOAD_MISMATCH,
 *   IO_ERROR, PERMISSION_DENIED. All but the first can be tried again and go on where they stopped.
 */
export async function downloadFile(
  source: DownloadSource,
  path: string,
  tools: DownloadTools,
  signal: AbortSignal,
  onProgress: (progress: DownloadProgress) => void,
): Promise<DownloadResult> {
  try {
    await mkdir(dirname(path), { recursive: true });
    if (await exists(path)) {
      throw appError('FILE_EXISTS', `${path} is there already.`, { hint: 'Delete it, or import it.' });
    }
    onProgress({ step: 'connecting', nDone: 0, nTotal: source.bytes });
    const loader = new PartLoader(source, tools, signal);
    const remote = await loader.probe();
    const { journal, file } = await openUnfinished(source, remote, path, tools);
    try {
      const result = await fill({ source, remote, loader, journal, file, path, tools, signal, onProgress });
      await file.sync();
      await file.close();
      await journal.close();
      await rename(unfinishedPath(path), path);
      await rename(journalPath(path), partsPath(path));
      return result;
    } finally {
      await file.close().catch(() => {});
      await journal.close().catch(() => {});
    }
  } catch (error) {
    throw asDiskError(error, path);
  }
}

async function openUnfinished(source: DownloadSource, remote: RemoteFile, path: string, tools: DownloadTools) {
  const unfinished = unfinishedPath(path);
  const partBytes = remote.acceptsRanges ? tools.partBytes : remote.bytes;
  const hash = source.hash === null ? null : `${source.hash.algorithm}:${source.hash.hex}`;
  const { bytes, etag } = remote;
  const there = await stat(unfinished).catch(() => null);
  await throwIfDiskFull(path, bytes - takenBytes(there, bytes), tools.freeBytes);
  const journal = await Journal.open(journalPath(path), { bytes, partBytes, hash, etag });
  const file = await open(unfinished, there ? 'r+' : 'w+');
  if (there?.size !== bytes) await truncate(unfinished, bytes);
  return { journal, file };
}

/** @throws DISK_FULL if a file cannot grow by so much where it is to be */
export async function throwIfDiskFull(
  path: string,
  bytes: number,
  freeBytes: (folder: string) => Promise<number>,
): Promise<void> {
  const needed = bytes + reserveBytes;
  const free = await freeBytes(dirname(path));
  if (free < needed) throw diskFull(path, needed, free);
}

function diskFull(path: string, needed: number, free: number) {
  const inGiB = (bytes: number) => `${(bytes / 2 ** 30).toFixed(2)} GiB`;
  return appError('DISK_FULL', `${basename(path)} needs ${inGiB(needed)} of disk space; ${inGiB(free)} are free.`, {
    hint: 'Free some space, or choose another folder for models; then go on.',
  });
}

/** Gets what is missing, checks the whole, and mends it where it is wrong. */
async function fill(filling: Filling): Promise<DownloadResult> {
  const { source, remote, file, signal, onProgress } = filling;
  await forgetDamagedParts(filling);
  await fetchMissing(filling);
  const verify = async (): Promise<string | null> => {
    const algorithm = source.hash?.algorithm ?? 'sha256';
    const onHashed = (nDone: number) => onProgress({ step: 'verifying', nDone, nTotal: remote.bytes });
    onHashed(0);
    return hashRange(file, 0, remote.bytes, { algorithm, signal, onProgress: onHashed });
  };
  let hex = await verify();
  if (source.hash !== null && hex !== source.hash.hex) {
    // First what changed on this disk since it arrived, then what arrived wrong.
    if ((await forgetDamagedParts(filling)) > 0) {
      await fetchMissing(filling);
      hex = await verify();
    }
    if (hex !== source.hash.hex) hex = await repairByFetchingAgain(filling, hex, verify);
  }
  const isSha256 = source.hash === null || source.hash.algorithm === 'sha256';
  const sha256 = isSha256 ? hex : await hashRange(file, 0, remote.bytes, { signal });
  if (sha256 === null) throw new Error(`${filling.path} became shorter while it was checked.`);
  return { bytes: remote.bytes, sha256, isVerified: source.hash !== null };
}

/** @returns how many parts on disk are not what arrived */
async function forgetDamagedParts(filling: Filling): Promise<number> {
  const { journal, file, signal, remote, onProgress } = filling;
  let nForgotten = 0;
  let nDone = 0;
  for (const [part, sha256] of [...journal.parts]) {
    const { offset, bytes } = partRange(filling, part);
    const isWhole = bytes > 0 && (await hashRange(file, offset, bytes, { signal })) === sha256;
    nDone += bytes;
    onProgress({ step: 'verifying', nDone, nTotal: remote.bytes });
    if (isWhole) continue;
    journal.forget(part);
    nForgotten += 1;
  }
  return nForgotten;
}

/** What is there of a part and is what arrived; nothing where that is not so. */
async function keptBeginning(filling: Filling, part: number): Promise<Beginning> {
  const { journal, file, remote } = filling;
  const { offset, bytes: partBytes } = partRange(filling, part);
  const hash = createHash('sha256');
  const noted = remote.acceptsRanges ? journal.begun.get(part) : undefined;
  if (!noted || noted.bytes >= partBytes) return { bytes: 0, hash };
  const buffer = Buffer.alloc(Math.min(noteBytes, noted.bytes));
  for (let at = 0; at < noted.bytes; ) {
    const { bytesRead } = await file.read(buffer, 0, Math.min(buffer.length, noted.bytes - at), offset + at);
    if (bytesRead === 0) break;
    hash.update(buffer.subarray(0, bytesRead));
    at += bytesRead;
  }
  const isWhole = hash.copy().digest('hex') === noted.sha256;
  return isWhole ? { bytes: noted.bytes, hash } : { bytes: 0, hash: createHash('sha256') };
}

/** Several parts at once; the first that fails for good ends the others. */
async function fetchMissing(filling: Filling): Promise<void> {
  const { journal, file, loader, remote, path, tools, signal, onProgress } = filling;
  const missing = Array.from({ length: countParts(filling) }, (_, part) => part).filter((i) => !journal.parts.has(i));
  let nDone = remote.bytes - missing.reduce((sum, part) => sum + partRange(filling, part).bytes, 0);
  const report = (nNew: number) => {
    nDone += nNew;
    onProgress({ step: 'downloading', nDone, nTotal: remote.bytes });
  };
  report(0);
  // Other programs write, too: stopped before the disk is full, all that has arrived is good.
  let nUnchecked = 0;
  const checkSpace = async (n: number) => {
    nUnchecked += n;
    if (nUnchecked < tools.partBytes) return;
    nUnchecked = 0;
    const free = await tools.freeBytes(dirname(path));
    if (free < reserveBytes) throw diskFull(path, remote.bytes - nDone + reserveBytes, free);
  };
  const failed = new AbortController();
  const either = AbortSignal.any([signal, failed.signal]);
  const work = async () => {
    for (let part = missing.shift(); part !== undefined; part = missing.shift()) {
      const range = partRange(filling, part);
      const beginning = await keptBeginning(filling, part);
      report(beginning.bytes);
      let nNoted = beginning.bytes;
      const arrived = async (n: number, { bytes, hash }: Beginning) => {
        report(n);
        await checkSpace(n);
        if (bytes < nNoted) nNoted = bytes; // it starts over
        if (bytes - nNoted < noteBytes || bytes === range.bytes) return;
        nNoted = bytes;
        await journal.addBeginning(part, bytes, hash.copy().digest('hex'));
      };
      const sha256 = await loader.load(range, file, either, arrived, beginning);
      await journal.add(part, sha256);
    }
  };
  const workers = Array.from({ length: remote.acceptsRanges ? tools.nConnections : 1 }, () =>
    work().catch((error: unknown) => {
      failed.abort(error);
      throw error;
    }),
  );
  // All of them, so that none writes to a file that is closed.
  await Promise.allSettled(workers);
  signal.throwIfAborted();
  if (failed.signal.aborted) throw failed.signal.reason;
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
