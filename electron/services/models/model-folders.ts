// Model files on this machine: in a folder that the user names, and where other programs keep theirs. They are listed
// and used where they are; nothing is copied.
import type { Dirent } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import type { FoundModel } from '../../common/model-contract.ts';

const mostFiles = 2000;
const mostDepth = 6;
const splitPattern = /-(\d{5})-of-\d{5}\.gguf$/i;

/** GGUF files below a folder; of a split model the first part. Links are not followed: they may go round in circles. */
export async function findModels(folder: string, program: string): Promise<FoundModel[]> {
  const found: FoundModel[] = [];
  const visit = async (at: string, depth: number): Promise<void> => {
    const entries = await readdir(at, { withFileTypes: true }).catch((): Dirent[] => []);
    for (const entry of entries) {
      if (found.length >= mostFiles) return;
      const path = join(at, entry.name);
      if (entry.isDirectory() && depth < mostDepth) await visit(path, depth + 1);
      if (!entry.isFile() || !/\.gguf$/i.test(entry.name) || /mmproj/i.test(entry.name)) continue;
      const part = splitPattern.exec(entry.name)?.[1];
      if (part !== undefined && Number(part) !== 1) continue;
      const { size } = await stat(path);
      found.push({ path, bytes: size, program });
    }
  };
  await visit(folder, 0);
  return found;
}

/** Where programs that run models keep them, by their own documentation; most are not there. */
function knownFolders(home: string): { program: string; folder: string }[] {
  const data = process.platform === 'win32' ? (process.env.APPDATA ?? home) : join(home, '.config');
  return [
    { program: 'LM Studio', folder: join(home, '.lmstudio', 'models') },
    { program: 'LM Studio', folder: join(home, '.cache', 'lm-studio', 'models') },
    { program: 'Jan', folder: join(home, 'jan', 'models') },
    { program: 'Jan', folder: join(data, 'Jan', 'data', 'llamacpp', 'models') },
    { program: 'GPT4All', folder: join(home, '.local', 'share', 'nomic.ai', 'GPT4All') },
    { program: 'llama.cpp', folder: join(home, '.cache', 'llama.cpp') },
    { program: 'Hugging Face', folder: join(home, '.cache', 'huggingface', 'hub') },
  ];
}

/** Models of other programs. */
export async function findOthersModels(home: string = homedir()): Promise<FoundModel[]> {
  const lists = await Promise.all([
    ...knownFolders(home).map(({ folder, program }) => findModels(folder, program)),
    findOllamaModels(join(home, '.ollama', 'models')),
  ]);
  return lists.flat();
}

const manifestSchema = z.object({
  layers: z.array(
    z.object({ mediaType: z.string(), digest: z.string().regex(/^sha256:[0-9a-f]{64}$/), size: z.number() }),
  ),
});

/** Ollama names files by their hash; manifests say which of them is a model. */
async function findOllamaModels(root: string): Promise<FoundModel[]> {
  const names = await readdir(join(root, 'manifests'), { recursive: true, withFileTypes: true }).catch(
    (): Dirent[] => [],
  );
  const found: FoundModel[] = [];
  for (const entry of names.filter((name) => name.isFile()).slice(0, mostFiles)) {
    try {
      const text = await readFile(join(entry.parentPath, entry.name), 'utf8');
      const { layers } = manifestSchema.parse(JSON.parse(text));
      const model = layers.find(({ mediaType }) => mediaType.endsWith('.image.model'));
      if (!model) continue;
      const path = join(root, 'blobs', model.digest.replace(':', '-'));
      if ((await stat(path)).size === model.size) found.push({ path, bytes: model.size, program: 'Ollama' });
    } catch {} // another kind of file, or a blob that is gone
  }
  return found;
}
