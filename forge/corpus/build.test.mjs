import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { expect, it } from 'vitest';
import { root } from '../../scripts/lib/process.mjs';
import { rules } from './build.mjs';

it('counts every module that decides on a file among the rules', async () => {
  for (const rule of rules)
    for (const [, path = ''] of (await readFile(join(root, rule), 'utf8')).matchAll(/ from '(\.[^']+)'/g)) {
      const imported = join(dirname(rule), path);
      if (!imported.startsWith('scripts/lib/')) expect(rules).toContain(imported);
    }
});
