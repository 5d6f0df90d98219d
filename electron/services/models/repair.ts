// A file whose parts are as they arrived and whose hash is wrong: some part arrived wrong, and only the server knows
// which. Each part is fetched again and compared; where the two differ the new one takes its place. The search ends
// as soon as the whole is right, so that a single wrong byte costs its own part to write, and what lies before it to read.
import { type FileHandle, open, rm } from 'node:fs/promises';
import { appError } from '../../common/app-error.ts';
import { hashRange } from './file-hash.ts';
import { countParts, type Filling, partRange, unfinishedPath } from './parts.ts';
import { writeAll } from './write-all.ts';

/**
 * @param actual the hash that the file has
 * @param verify hashes the whole file
 * @returns the right hash
 * @throws DOWNLOAD_MISMATCH if the server has another file
 */
export async function repairByFetchingAgain(
  filling: Filling,
  actual: string | null,
  verify: () => Promise<string | null>,
): Promise<string> {
  const { remote, source, loader, journal, file, path, signal, onProgress } = filling;
  const sparePath = `${unfinishedPath(path)}.again`;
  let found = actual;
  const spare = await open(sparePath, 'w+');
  try {
    for (let part = 0; part < countParts(filling); part++) {
      const { offset, bytes } = partRange(filling, part);
      onProgress({ step: 'repairing', nDone: offset, nTotal: remote.bytes });
      const arrived = await loader.load({ offset, bytes }, spare, signal, () => {});
      if (arrived === journal.parts.get(part)) continue;
      await copy(spare, file, offset, bytes);
      if ((await hashRange(file, offset, bytes, { signal })) !== arrived)
        throw new Error(`${path} does not keep data.`);
      await journal.add(part, arrived);
      found = await verify();
      if (found !== null && found === source.hash?.hex) return found;
      await spare.truncate(0);
    }
  } finally {
    await spare.close();
    await rm(sparePath, { force: true });
  }
  const { host } = new URL(source.url);
  throw appError(
    'DOWNLOAD_MISMATCH',
    `${host || 'The folder'} serves another file than the one that is listed. It was not kept.`,
    {
      hint: 'Remove it from the list, and choose another source.',
      detail: `${source.hash?.algorithm} expected: ${source.hash?.hex}\ngot: ${found}`,
    },
  );
}

async function copy(from: FileHandle, to: FileHandle, offset: number, bytes: number): Promise<void> {
  const buffer = Buffer.alloc(Math.min(bytes, 1 << 20));
  for (let at = offset; at < offset + bytes; ) {
    const { bytesRead } = await from.read(buffer, 0, Math.min(buffer.length, offset + bytes - at), at);
    if (bytesRead === 0) throw new Error('A part that was fetched again is not there.');
    await writeAll(to, buffer.subarray(0, bytesRead), at);
    at += bytesRead;
  }
}
