// llama.cpp's recorded distributions of all tiny models: native/tests/vectors/architectures.json.
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { vectorsDirectory } from '../../lib/vectors.mjs';

const file = join(vectorsDirectory, 'architectures.json');

/**
 * @typedef {{ sha256: string, rows: import('./comparison.mjs').ReferenceRow[] }} RecordedModel sha256: of the file
 * @typedef {{ manifest: Record<string, unknown>, models: Record<string, RecordedModel> }} ArchitectureRecording
 */

/** @returns {Promise<ArchitectureRecording>} */
export async function readArchitectureRecording() {
  return JSON.parse(await readFile(file, 'utf8'));
}

/** @param {ArchitectureRecording} recording */
export async function writeArchitectureRecording(recording) {
  await writeFile(file, formatArchitectureRecording(recording));
}

/**
 * JSON with one line per distribution: small, and a difference can be read.
 * @param {ArchitectureRecording} recording
 */
export function formatArchitectureRecording({ manifest, models }) {
  const blocks = Object.entries(models).map(([name, { sha256, rows }]) => {
    const lines = rows.map(({ where, sigma, top, logProbabilities }) =>
      JSON.stringify({
        where,
        sigma: Number(sigma.toPrecision(3)),
        top: { id: top.id, lead: Number(top.lead.toFixed(4)) },
        logProbabilities: logProbabilities.map((x) => Number(x.toFixed(5))),
      }),
    );
    return `  ${JSON.stringify(name)}: {\n   "sha256": "${sha256}",\n   "rows": [\n    ${lines.join(',\n    ')}\n   ]\n  }`;
  });
  return `{\n "manifest": ${JSON.stringify(manifest, null, 1).replaceAll('\n', '\n ')},\n "models": {\n${blocks.join(',\n')}\n }\n}\n`;
}
