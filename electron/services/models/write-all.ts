import type { FileHandle } from 'node:fs/promises';

/** A write may take less than it is given, as on a disk that is nearly full; the next one then says why. */
export async function writeAll(file: FileHandle, data: Uint8Array, position: number): Promise<void> {
  for (let nDone = 0; nDone < data.length; ) {
    const { bytesWritten } = await file.write(data, nDone, data.length - nDone, position + nDone);
    nDone += bytesWritten;
  }
}
