// Rows of a benchmark that is run part by part: each run keeps its rows beside the build, and the page is written from
// all that are there. So a long benchmark fits into short quiet times, and one page holds several models.
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { dirname, join } from 'node:path';
import { root } from './process.mjs';

/**
 * Rows of this machine by name; a row measured again takes the place of the one before.
 * @template {{ name: string, model: string }} Row
 * @param {string} benchmark
 * @param {Row[]} rows
 * @returns {Promise<Row[]>} all that were measured, in the order in which they were first
 */
export async function keepRows(benchmark, rows) {
  const path = join(root, 'build', 'bench', `${benchmark}.json`);
  const processor = processorName();
  /** @type {{ processor: string, rows: Row[] }} */
  const kept = await readFile(path, 'utf8').then(JSON.parse, () => ({ processor, rows: [] }));
  const byName = new Map(
    (kept.processor === processor ? kept.rows : []).map((row) => [`${row.name}\n${row.model}`, row]),
  );
  for (const row of rows) byName.set(`${row.name}\n${row.model}`, row);
  const all = [...byName.values()];
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, `${JSON.stringify({ processor, rows: all }, null, 2)}\n`);
  return all;
}

/** What the figures of a page were measured on. @param {string} backend of the models */
export function machineFacts(backend) {
  return `${backend}; ${processorName()}; ${new Date().toISOString().slice(0, 10)}.`;
}

/** A model by its file. @param {import('../../electron/engine/native.d.ts').NativeModel} model */
export function modelName({ info }) {
  const file = info.path.split(/[\\/]/).at(-1) ?? info.name;
  return file.replace(/\.gguf$/, '');
}

function processorName() {
  return `${cpus()[0]?.model ?? 'unknown'}, ${cpus().length} processors`;
}
