// What of an unfinished download is on disk: a line of JSON per fact, appended. A line that a crash cut off is ignored,
// and so is every part whose bytes do not have the hash of its line any more: nothing here is trusted, only used.
import { type FileHandle, open, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { z } from 'zod';

/** The file that the parts belong to. Parts of another one are of no use. */
const identitySchema = z.object({
  bytes: z.int().min(1),
  partBytes: z.int().min(1),
  /** Of the whole file, if it is known; with it, it does not matter where a part came from. */
  hash: z.string().nullable(),
  /** As the server names this version of the file. */
  etag: z.string().nullable(),
});
export type FileIdentity = z.infer<typeof identitySchema>;

const lineSchema = z.union([
  z.object({ file: identitySchema }),
  z.object({ part: z.int().min(0), sha256: z.string().length(64) }),
  /** The beginning of a part. */
  z.object({ begun: z.int().min(0), bytes: z.int().min(1), sha256: z.string().length(64) }),
]);
type Line = z.infer<typeof lineSchema>;

export class Journal {
  readonly #file: FileHandle;
  /** Hash of each part that is there, as it was when it arrived. */
  readonly parts: Map<number, string>;
  /** Beginnings of parts that are on their way. */
  readonly begun = new Map<number, { bytes: number; sha256: string }>();

  private constructor(file: FileHandle, parts: Map<number, string>) {
    this.#file = file;
    this.parts = parts;
  }

  /** Goes on with the journal at `path` if it is about the same file, otherwise begins one. */
  static async open(path: string, identity: FileIdentity): Promise<Journal> {
    const found = await readLines(path);
    const [first] = found;
    const parts = new Map<number, string>();
    const begun = new Map<number, { bytes: number; sha256: string }>();
    if (first && 'file' in first && isSame(first.file, identity)) {
      for (const line of found) {
        if ('part' in line) parts.set(line.part, line.sha256);
        if ('begun' in line) begun.set(line.begun, { bytes: line.bytes, sha256: line.sha256 });
      }
    }
    // Written anew: without lines that were cut off or replaced.
    for (const part of parts.keys()) begun.delete(part);
    const lines: Line[] = [
      { file: identity },
      ...[...parts].map(([part, sha256]) => ({ part, sha256 })),
      ...[...begun].map(([part, beginning]) => ({ begun: part, ...beginning })),
    ];
    await writeFile(`${path}.new`, lines.map(toText).join(''));
    await rename(`${path}.new`, path);
    const journal = new Journal(await open(path, 'a'), parts);
    for (const [part, beginning] of begun) journal.begun.set(part, beginning);
    return journal;
  }

  async add(part: number, sha256: string): Promise<void> {
    this.parts.set(part, sha256);
    this.begun.delete(part);
    await this.#file.appendFile(toText({ part, sha256 }));
  }

  async addBeginning(part: number, bytes: number, sha256: string): Promise<void> {
    this.begun.set(part, { bytes, sha256 });
    await this.#file.appendFile(toText({ begun: part, bytes, sha256 }));
  }

  /** Of a part that is no good. The line stays; a later one replaces it. */
  forget(part: number): void {
    this.parts.delete(part);
  }

  close(): Promise<void> {
    return this.#file.close();
  }

  static remove(path: string): Promise<void> {
    return rm(path, { force: true });
  }
}

const toText = (line: Line) => `${JSON.stringify(line)}\n`;

/** The hash of the whole file that a journal is about, "sha256:…"; null if it has none, or there is no journal. */
export async function expectedHashIn(path: string): Promise<string | null> {
  const [first] = await readLines(path);
  return first && 'file' in first ? first.file.hash : null;
}

function isSame(a: FileIdentity, b: FileIdentity): boolean {
  if (a.bytes !== b.bytes || a.partBytes !== b.partBytes || a.hash !== b.hash) return false;
  return a.hash !== null || (a.etag !== null && a.etag === b.etag);
}

async function readLines(path: string): Promise<Line[]> {
  const text = await readFile(path, 'utf8').catch(() => '');
  return text.split('\n').flatMap((line) => {
    try {
      const parsed = lineSchema.safeParse(JSON.parse(line));
      return parsed.success ? [parsed.data] : [];
    } catch {
      return [];
    }
  });
}
