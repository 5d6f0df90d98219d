// The models that are known, by what is on disk about them: one JSON file, written whole or not at all. What a file's
// head says is read again when the file is another than before.
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { open, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { z } from 'zod';
import { appError } from '../../common/app-error.ts';
import { toErrorInfo } from '../../common/error-info.ts';
import { type FoundModel, type ModelEntry, type ModelSource, modelEntrySchema } from '../../common/model-contract.ts';
import { bundledPath, catalogId, catalogModels, defaultModel, defaultModelPath } from './catalog.ts';
import { asDiskError } from './disk-errors.ts';
import { readGgufHeader } from './gguf-header.ts';
import { type ModelFile, modelFacts, splitModelFacts } from './model-facts.ts';
import { partsPath } from './parts.ts';

const storedSchema = modelEntrySchema.omit({ job: true }).extend({
  modifiedMs: z.number(),
  // What an earlier version of the app found out in another way is found out again.
  facts: modelEntrySchema.shape.facts.catch(null),
  kvCheck: modelEntrySchema.shape.kvCheck.catch(null),
});
type Stored = z.infer<typeof storedSchema>;

const splitPattern = /-00001-of-(\d{5})\.gguf$/i;

export class Library {
  readonly #path: string;
  readonly #onChange: () => void;
  readonly #stored = new Map<string, Stored>();
  readonly #jobs = new Map<string, NonNullable<ModelEntry['job']>>();

  constructor(path: string, onChange: () => void) {
    this.#path = path;
    this.#onChange = onChange;
    for (const model of readStored(path)) this.#stored.set(model.id, model);
  }

  list(): ModelEntry[] {
    return [...this.#stored.values()].map(({ modifiedMs: _, ...model }) => ({
      ...model,
      job: this.#jobs.get(model.id) ?? null,
    }));
  }

  get(id: string): ModelEntry | undefined {
    return this.list().find((model) => model.id === id);
  }

  /** @throws NOT_FOUND */
  mustGet(id: string): ModelEntry {
    const model = this.get(id);
    if (!model) throw appError('NOT_FOUND', 'This model is not in the library any more.');
    return model;
  }

  /** A file of a model that is known, there or not. */
  hasFile(path: string): boolean {
    return [...this.#stored.values()].some(({ files }) => files.includes(path));
  }

  unknownOf(found: readonly FoundModel[]): FoundModel[] {
    const known = new Set([...this.#stored.values()].map(({ path }) => path));
    return found.filter(({ path }) => !known.has(path));
  }

  /** Looks at every file again, and at what comes with the app. */
  async refresh(): Promise<void> {
    const own = [
      { id: catalogId(defaultModel), name: defaultModel.name, path: defaultModelPath(), origin: 'default' as const },
      ...catalogModels.flatMap((model) => {
        const path = bundledPath(model);
        return path ? [{ id: catalogId(model), name: model.name, path, origin: 'bundled' as const }] : [];
      }),
    ];
    for (const { id, name, path, origin } of own) await this.#put({ id, name, path, origin });
    // A bundled model that this build does not carry any more.
    for (const { id, origin } of [...this.#stored.values()]) {
      if (origin === 'bundled' && !own.some((model) => model.id === id)) this.#stored.delete(id);
    }
    for (const model of [...this.#stored.values()]) await this.#look(model);
    this.#save();
  }

  /**
   * A file that is there becomes a model of the library.
   * @throws MODEL_INVALID, MODEL_UNSUPPORTED, FILE_NOT_FOUND
   */
  async add(path: string, origin: ModelEntry['origin'], more: Partial<Stored> = {}): Promise<ModelEntry> {
    const id = `file:${path}`;
    const known = this.#stored.get(id);
    const facts = await readFacts(path);
    if (facts.split && facts.split.index !== 1) {
      const { index, count } = facts.split;
      throw appError('MODEL_INVALID', `${basename(path)} is part ${index} of ${count}.`, {
        hint: 'Choose the first part.',
      });
    }
    const name = facts.name.trim() || basename(path).replace(/\.gguf$/i, '');
    const addedAtMs = known?.addedAtMs ?? Date.now();
    // What was just verified is so for the file as it is now, also in place of another that was known.
    const isNew = more.verifiedAtMs ? { modifiedMs: 0 } : {};
    await this.#put({ id, name, path, origin, addedAtMs, ...isNew, ...more });
    const stored = this.#stored.get(id);
    if (stored) await this.#look(stored);
    this.#save();
    return this.mustGet(id);
  }

  change(id: string, change: Partial<Omit<Stored, 'id'>>): void {
    const stored = this.#stored.get(id);
    if (!stored) throw appError('NOT_FOUND', 'This model is not in the library any more.');
    this.#stored.set(id, { ...stored, ...change });
    this.#save();
  }

  setJob(id: string, job: ModelEntry['job']): void {
    if (job) this.#jobs.set(id, job);
    else this.#jobs.delete(id);
    this.#onChange();
  }

  /**
   * Takes a model out of the library, and its files from the disk where they are ours.
   * @returns bytes that this freed
   */
  async remove(id: string): Promise<number> {
    const { origin, files, bytes } = this.mustGet(id);
    if (origin === 'default' || origin === 'bundled') {
      throw appError('PERMISSION_DENIED', 'This model is a part of Outpost.', {
        hint: 'Choose another one for its roles.',
      });
    }
    const isOurs = origin === 'downloaded';
    if (isOurs) {
      for (const file of files) {
        await rm(partsPath(file), { force: true });
        await rm(file, { force: true }).catch((error: unknown) => {
          throw asDiskError(error, file);
        });
      }
    }
    this.#stored.delete(id);
    this.#save();
    return isOurs ? bytes : 0;
  }

  /** A file of the library lies somewhere else now. */
  moved(id: string, files: string[]): string {
    const stored = this.#stored.get(id);
    const [path] = files;
    if (!stored || path === undefined) throw appError('NOT_FOUND', 'This model is not in the library any more.');
    this.#stored.delete(id);
    const newId = `file:${path}`;
    this.#stored.set(newId, { ...stored, id: newId, path, files });
    this.#save();
    return newId;
  }

  async #put(model: Pick<Stored, 'id' | 'name' | 'path' | 'origin'> & Partial<Stored>): Promise<void> {
    const known = this.#stored.get(model.id);
    this.#stored.set(model.id, { ...(known ?? fresh), ...model });
  }

  /** Whether its files are there, and what they say. */
  async #look(model: Stored): Promise<void> {
    const files = partsOf(model.path);
    try {
      const infos = await Promise.all(
        files.map((file) =>
          stat(file).catch((error: unknown) => {
            throw asDiskError(error, file);
          }),
        ),
      );
      const bytes = infos.reduce((sum, { size }) => sum + size, 0);
      const modifiedMs = Math.max(...infos.map(({ mtimeMs }) => mtimeMs));
      const isSame = model.facts !== null && model.bytes === bytes && model.modifiedMs === modifiedMs;
      // Facts of an earlier version of the app lack what this one reads.
      const isRead = isSame && model.facts?.vocabulary !== '';
      if (isRead && model.state === 'ready') return;
      const facts = isRead ? model.facts : splitModelFacts(await Promise.all(files.map(readHead)));
      const results = isSame ? {} : { verifiedAtMs: null, selfTest: null, benchmark: null, speed: null, kvCheck: null };
      const keep = model.modifiedMs === 0 ? { verifiedAtMs: model.verifiedAtMs } : {};
      const found = { files, bytes, modifiedMs, facts, state: 'ready' as const, problem: null };
      this.#stored.set(model.id, { ...model, ...found, ...results, ...keep });
    } catch (error) {
      const problem = toErrorInfo(error);
      const state = problem.code === 'FILE_NOT_FOUND' ? ('missing' as const) : ('damaged' as const);
      this.#stored.set(model.id, { ...model, files, state, problem });
    }
  }

  #save(): void {
    const text = `${JSON.stringify([...this.#stored.values()], null, 1)}\n`;
    try {
      writeFileSync(`${this.#path}.new`, text);
      renameSync(`${this.#path}.new`, this.#path);
    } catch (error) {
      throw asDiskError(error, this.#path);
    } finally {
      this.#onChange();
    }
  }
}

const fresh: Omit<Stored, 'id' | 'name' | 'path' | 'origin'> = {
  files: [],
  state: 'ready',
  problem: null,
  facts: null,
  source: null as ModelSource | null,
  bytes: 0,
  verifiedAtMs: null,
  selfTest: null,
  benchmark: null,
  speed: null,
  kvCheck: null,
  overrides: { sampler: {} },
  notes: '',
  addedAtMs: 0,
  modifiedMs: 0,
};

/** All parts of a split model by the name of its first. */
export function partsOf(path: string): string[] {
  const count = Number(splitPattern.exec(path)?.[1] ?? 1);
  if (count <= 1 || count > 999) return [path];
  const stem = basename(path).replace(splitPattern, '');
  return Array.from({ length: count }, (_, i) => {
    const number = (n: number) => String(n).padStart(5, '0');
    return join(dirname(path), `${stem}-${number(i + 1)}-of-${number(count)}.gguf`);
  });
}

/** Of one file. @throws MODEL_INVALID, MODEL_UNSUPPORTED, FILE_NOT_FOUND, IO_ERROR */
export async function readFacts(path: string) {
  const { header, bytes, what } = await readHead(path);
  return modelFacts(header, bytes, what);
}

async function readHead(path: string): Promise<ModelFile> {
  const what = basename(path);
  const file = await open(path, 'r').catch((error: unknown) => {
    throw asDiskError(error, path);
  });
  try {
    const { size } = await file.stat();
    const header = await readGgufHeader(async (offset, bytes) => {
      const buffer = Buffer.alloc(Math.min(bytes, Math.max(0, size - offset)));
      const { bytesRead } = await file.read(buffer, 0, buffer.length, offset);
      return buffer.subarray(0, bytesRead);
    }, what);
    return { header, bytes: size, what };
  } catch (error) {
    throw asDiskError(error, path);
  } finally {
    await file.close();
  }
}

function readStored(path: string): Stored[] {
  try {
    const stored: unknown = JSON.parse(readFileSync(path, 'utf8'));
    if (!Array.isArray(stored)) return [];
    return stored.flatMap((item) => storedSchema.safeParse(item).data ?? []);
  } catch {
    return []; // none yet, or damaged: models can be added again, their files are untouched
  }
}
