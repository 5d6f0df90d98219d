// What the steps of one download share: its source, its tools, and how a file is cut into parts.
import type { FileHandle } from 'node:fs/promises';
import type { FileHash } from './file-hash.ts';
import type { HttpGet } from './http.ts';
import type { Journal } from './journal.ts';
import type { PartLoader, RemoteFile } from './part-loader.ts';
import type { RateLimit } from './rate-limit.ts';

export interface DownloadSource {
  url: string;
  /** Sent to the URL's own host. */
  token: string | null;
  /** What the file has to be, as far as it is known before. */
  bytes: number | null;
  hash: FileHash | null;
}

export interface DownloadTools {
  get: HttpGet;
  limit: RateLimit;
  nConnections: number;
  partBytes: number;
  /** A connection that says nothing for so long is given up. */
  idleMs: number;
  /** Pause before attempt `n` (1, 2, …) to get a part. */
  retryMs: (attempt: number) => number;
  freeBytes: (folder: string) => Promise<number>;
}

export interface DownloadProgress {
  step: 'connecting' | 'downloading' | 'verifying' | 'repairing';
  nDone: number;
  nTotal: number | null;
}

export interface Filling {
  source: DownloadSource;
  remote: RemoteFile;
  loader: PartLoader;
  journal: Journal;
  file: FileHandle;
  path: string;
  tools: DownloadTools;
  signal: AbortSignal;
  onProgress: (progress: DownloadProgress) => void;
}

export const unfinishedPath = (path: string) => `${path}.unfinished`;
/** Beside a file that was downloaded: the hashes of its parts, by which damage is found and mended. */
export const partsPath = (path: string) => `${path}.parts`;
export const journalPath = (path: string) => `${path}.unfinished.journal`;

export function partRange({ remote, tools }: Filling, part: number): { offset: number; bytes: number } {
  const partBytes = remote.acceptsRanges ? tools.partBytes : remote.bytes;
  const offset = part * partBytes;
  return { offset, bytes: Math.min(partBytes, remote.bytes - offset) };
}

export function countParts({ remote, tools }: Filling): number {
  return remote.acceptsRanges ? Math.ceil(remote.bytes / tools.partBytes) : 1;
}
