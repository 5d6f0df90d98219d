// write-all.mjs FOLDER: the tiny models of every architecture and tensor type, for a machine that has them not and Node
// alone. Needs no packages. A file named "complete" says that all are there.
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { tinyModels } from './catalog.mjs';
import { ggufBytes } from './tiny-model.mjs';

/** @param {string} folder @returns {Promise<number>} how many there are */
export async function writeAllModels(folder) {
  await mkdir(folder, { recursive: true });
  for (const model of tinyModels) {
    const path = join(folder, `${model.name}.gguf`);
    await writeFile(`${path}.part`, ggufBytes(model));
    await rename(`${path}.part`, path);
  }
  await writeFile(join(folder, 'complete'), '');
  return tinyModels.length;
}

if (process.argv[1] === import.meta.filename) {
  const [, , folder] = process.argv;
  if (folder === undefined) throw new Error('usage: write-all.mjs FOLDER');
  console.log(`${await writeAllModels(folder)} models are in ${folder}.`);
}
