// Results on disk, a line each as they come: a run that is cut off goes on where it was.
import { appendFile, mkdir, readFile, truncate } from 'node:fs/promises';
import { dirname } from 'node:path';

/**
 * @template {object} Row
 * @param {string} path of a .jsonl
 * @returns {Promise<{ rows: Map<string, Row>, add: (key: string, row: Row) => Promise<void> }>} key: what the row follows from
 */
export async function openStore(path) {
  await mkdir(dirname(path), { recursive: true });
  const text = await readFile(path, 'utf8').catch(() => '');
  /** @type {Map<string, Row>} */
  const rows = new Map();
  // A run that was cut off may have left half a line.
  const whole = text.slice(0, text.lastIndexOf('\n') + 1);
  if (whole !== text) await truncate(path, Buffer.byteLength(whole));
  for (const line of whole.split('\n').slice(0, -1)) {
    const { key, ...row } = JSON.parse(line);
    rows.set(key, /** @type {Row} */ (row));
  }
  return {
    rows,
    add: async (key, row) => {
      rows.set(key, row);
      await appendFile(path, `${JSON.stringify({ key, ...row })}\n`);
    },
  };
}
