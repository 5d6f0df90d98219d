// Hashes of files and of parts of them, in steps that let the process do other things between.
import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';

export interface FileHash {
  algorithm: 'sha256' | 'sha512' | 'sha1';
  hex: string;
}

const stepBytes = 1 << 20;

/** @returns the hash of `bytes` bytes from `offset`, or null if the file ends before */
export async function hashRange(
  file: FileHandle,
  offset: number,
  bytes: number,
  { algorithm = 'sha256', signal, onProgress }: HashOptions = {},
): Promise<string | null> {
  const hash = createHash(algorithm);
  const buffer = Buffer.alloc(Math.min(stepBytes, Math.max(1, bytes)));
  for (let at = 0; at < bytes; ) {
    signal?.throwIfAborted();
    const { bytesRead } = await file.read(buffer, 0, Math.min(buffer.length, bytes - at), offset + at);
    if (bytesRead === 0) return null;
    hash.update(buffer.subarray(0, bytesRead));
    at += bytesRead;
    onProgress?.(at);
  }
  return hash.digest('hex');
}

interface HashOptions {
  algorithm?: FileHash['algorithm'];
  signal?: AbortSignal | undefined;
  onProgress?: ((nDone: number) => void) | undefined;
}

export async function hashFile(path: string, options: HashOptions = {}): Promise<{ hex: string; bytes: number }> {
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    const hex = await hashRange(file, 0, size, options);
    if (hex === null) throw new Error(`${path} became shorter while it was read.`);
    return { hex, bytes: size };
  } finally {
    await file.close();
  }
}
