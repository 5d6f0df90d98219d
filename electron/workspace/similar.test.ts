import { symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { partChars, partLines } from '../common/context-part.ts';
import { temporaryFolder } from '../testing/temporary-folder.ts';
import { SimilarParts } from './similar.ts';

const orbit = 'function orbit(body, epoch) {\n  return solve(body.mean, body.eccentricity, epoch);\n}\n';
const menu = 'const menu = document.querySelector(".menu");\nmenu.addEventListener("click", toggle);\n';
const writing = 'function transfer(body, epoch) {\n  const start = solve(body.mean, body.eccentricity, ';
const filler = (n: number) => Array.from({ length: n }, (_, i) => `x = ${i};`).join('\n');

const find = (files: Record<string, string>, path = 'src/transfer.ts', text = writing) =>
  new SimilarParts().find(temporaryFolder(files), { path, text });

describe('the part that looks most like a text', () => {
  it('is of the file that shares most identifiers', async () => {
    expect(await find({ 'src/menu.ts': menu, 'src/orbit.ts': orbit })).toEqual({ path: 'src/orbit.ts', text: orbit });
  });

  it('is found in the middle of a long file, in whole lines', async () => {
    const text = `${filler(500)}\n${orbit}${filler(500)}\n`;
    const part = await find({ 'src/long.ts': text });
    expect(part?.text).toContain('body.eccentricity');
    expect(text).toContain(`\n${part?.text}\n`);
    expect(part?.text.split('\n').length).toBeLessThanOrEqual(partLines);
    expect(part?.text.length).toBeLessThanOrEqual(partChars);
  });

  it('is none where nothing is alike, and none of the file itself', async () => {
    expect(await find({ 'src/menu.ts': menu })).toBeNull();
    expect(await find({ 'src/transfer.ts': orbit })).toBeNull();
    expect(await find({})).toBeNull();
    expect(await find({ 'src/orbit.ts': orbit }, 'src/transfer.ts', '')).toBeNull();
  });

  it('is of the same language, or of one that belongs to it', async () => {
    expect(await find({ 'orbit.py': orbit, orbit })).toBeNull();
    expect(await find({ 'orbit.jsx': orbit })).toMatchObject({ path: 'orbit.jsx' });
    expect(await find({ 'include/orbit.H': orbit }, 'src/transfer.cpp')).toMatchObject({ path: 'include/orbit.H' });
    expect(await find({ 'orbit.zig': orbit }, 'transfer.zig')).toMatchObject({ path: 'orbit.zig' });
    expect(await find({ LICENSE: orbit }, 'Makefile')).toBeNull();
  });

  it('is the nearest of equals', async () => {
    const everywhere = { 'a/orbit.ts': orbit, 'src/orbit/orbit.ts': orbit, 'orbit.ts': orbit };
    expect(await find(everywhere)).toMatchObject({ path: 'src/orbit/orbit.ts' });
    expect(await find({ ...everywhere, 'src/z.ts': orbit })).toMatchObject({ path: 'src/z.ts' });
    expect(await find(everywhere, 'b/c/transfer.ts')).toMatchObject({ path: 'orbit.ts' });
  });

  it('is of nothing that tools made, that is no text, or that is too large to be written by hand', async () => {
    expect(await find({ 'node_modules/a/orbit.ts': orbit, 'src/dist/orbit.ts': orbit })).toBeNull();
    expect(await find({ 'src/orbit.ts': `${orbit}\0\0\0` })).toBeNull();
    expect(await find({ 'src/orbit.ts': orbit + filler(40_000) })).toBeNull();
  });

  it('stays inside of the folder', async () => {
    const outside = temporaryFolder({ 'orbit.ts': orbit, 'deep/orbit.ts': orbit });
    const root = temporaryFolder({ 'src/': '' });
    symlinkSync(join(outside, 'orbit.ts'), join(root, 'src', 'orbit.ts'));
    symlinkSync(join(outside, 'deep'), join(root, 'src', 'deep'));
    const parts = new SimilarParts();
    expect(await parts.find(root, { path: 'src/transfer.ts', text: writing })).toBeNull();
    for (const path of ['../transfer.ts', 'src/deep/transfer.ts', '/etc/transfer.ts'])
      await expect(parts.find(root, { path, text: writing }), path).rejects.toMatchObject({
        code: 'OUTSIDE_WORKSPACE',
      });
  });

  it('is read again when the file changed, and gone when the file is', async () => {
    const root = temporaryFolder({ 'orbit.ts': menu });
    const parts = new SimilarParts();
    const ask = () => parts.find(root, { path: 'transfer.ts', text: writing });
    expect(await ask()).toBeNull();
    writeFileSync(join(root, 'orbit.ts'), orbit);
    utimesSync(join(root, 'orbit.ts'), 1, 1);
    expect(await ask()).toMatchObject({ text: orbit });
    // Another folder with a file of the same name and time.
    const other = temporaryFolder({ 'orbit.ts': menu });
    utimesSync(join(other, 'orbit.ts'), 1, 1);
    expect(await parts.find(other, { path: 'transfer.ts', text: writing })).toBeNull();
  });

  it('ends when the call does', async () => {
    const root = temporaryFolder({ 'orbit.ts': orbit });
    const question = { path: 'transfer.ts', text: writing };
    await expect(new SimilarParts().find(root, question, AbortSignal.abort(new Error('gone')))).rejects.toThrow('gone');
  });
});
