// `node scripts/outpost.mjs pictures`: makes the pictures of docs/interface.md anew, in the real app.
import { copyFile, mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { root, SetupError } from '../lib/process.mjs';
import { runStories } from './test.mjs';

const made = join(root, 'test-artifacts', 'pictures');
const kept = join(root, 'docs', 'pictures');

export async function pictures() {
  await rm(made, { recursive: true, force: true });
  const { failed } = await runStories(['views.spec.ts', 'models-view.spec.ts']);
  if (failed > 0) throw new SetupError('A story that takes pictures failed. The old pictures are still there.');
  const files = (await readdir(made)).flatMap((file) => {
    const [, view, theme] = / - ([\w-]+) (light|dark|contrast)\.png$/.exec(file) ?? [];
    return view && theme ? [{ file, name: `${view}-${theme}.png` }] : [];
  });
  // The plots of benchmarks lie there as well, and stay.
  for (const name of await readdir(kept).catch(() => [])) if (name.endsWith('.png')) await rm(join(kept, name));
  await mkdir(kept, { recursive: true });
  for (const { file, name } of files) await copyFile(join(made, file), join(kept, name));
  console.log(`${files.length} pictures are in docs/pictures. Look at each.`);
}
