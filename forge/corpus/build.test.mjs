import { link, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { root } from '../../scripts/lib/process.mjs';
import { buildCorpus, rules } from './build.mjs';

const out = await mkdtemp(join(tmpdir(), 'outpost-corpus-test-'));
afterAll(() => rm(out, { recursive: true }));

/** @type {import('./build.mjs').PackageList} */
const list = {
  heldout: [],
  train: [{ from: 'folder', name: 'forge/toy/memorised', version: '0', licence: 'MIT' }],
};
const record = join(out, 'packages', 'forge_toy_memorised-0.json');

it('does a package again whose rules have changed, and replaces its record as a whole', async () => {
  const manifest = await buildCorpus(list, out);
  const text = await readFile(record, 'utf8');
  await writeFile(record, JSON.stringify({ ...JSON.parse(text), hash: 'of other rules' }));
  // A second name of the file that is there: a run that is cut off while it writes must leave that as it is.
  await mkdir(join(out, 'before'));
  await link(record, join(out, 'before', 'record'));
  await link(join(out, 'manifest.json'), join(out, 'before', 'manifest'));
  await writeFile(`${record}.part`, '{"hash":"of a run that was c');
  expect(await buildCorpus(list, out)).toEqual(manifest);
  expect(await readFile(record, 'utf8')).toBe(text);
  expect(await readFile(join(out, 'before', 'record'), 'utf8')).toContain('of other rules');
  await writeFile(join(out, 'before', 'manifest'), '');
  expect(JSON.parse(await readFile(join(out, 'manifest.json'), 'utf8'))).toEqual(manifest);
});

it('counts every module that decides on a file among the rules', async () => {
  for (const rule of rules)
    for (const [, path = ''] of (await readFile(join(root, rule), 'utf8')).matchAll(/ from '(\.[^']+)'/g)) {
      const imported = join(dirname(rule), path);
      if (!imported.startsWith('scripts/lib/')) expect(rules).toContain(imported);
    }
});
