// Long jobs on one model of the library: checking, repairing, trying out, measuring, moving.
import { copyFile, mkdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { appError } from '../../common/app-error.ts';
import { isAbort, toErrorInfo } from '../../common/error-info.ts';
import type { ErrorInfo } from '../../common/errors.ts';
import type { KvCheck } from '../../common/kv-check.ts';
import type { ModelEntry } from '../../common/model-contract.ts';
import type { Benchmark, ModelSpec, SelfTest } from '../../common/role-contract.ts';
import { catalogId, catalogModels } from './catalog.ts';
import { asDiskError } from './disk-errors.ts';
import type { Downloads, QueuedFile } from './downloads.ts';
import { hashFile } from './file-hash.ts';
import { expectedHashIn } from './journal.ts';
import { type Library, readFacts } from './library.ts';
import { idOf } from './model-sources.ts';
import { journalPath, partsPath, unfinishedPath } from './parts.ts';

export interface ModelCareOptions {
  library: Library;
  downloads: Downloads;
  /** Tokens per second of a model, one after the other, with `nPast` positions in the context. */
  onMeasured: (id: string, tokensPerSecond: number, nPast: number) => void;
  specOf: (model: ModelEntry) => ModelSpec;
  selfTest: (spec: ModelSpec, signal: AbortSignal) => Promise<SelfTest>;
  benchmark: (spec: ModelSpec, signal: AbortSignal) => Promise<Benchmark>;
  /** Null: it gave way to something else. */
  checkKv: (spec: ModelSpec, givesWay: boolean, signal: AbortSignal) => Promise<KvCheck | null>;
  /** A model may be kept otherwise than it is. */
  onKvCheck: () => void;
  onNotice: (error: ErrorInfo) => void;
}

export class ModelCare {
  readonly #options: ModelCareOptions;
  readonly #library: Library;
  /** Of the jobs that can be ended, by model. */
  readonly #aborts = new Map<string, AbortController>();

  constructor(options: ModelCareOptions) {
    this.#options = options;
    this.#library = options.library;
  }

  /** Hashes every file again. @throws DOWNLOAD_MISMATCH with what can be done */
  verify(id: string): Promise<void> {
    return this.#job(id, 'verify', async ({ files, source, path }, { signal, onProgress }) => {
      await this.#library.refresh();
      await readFacts(path);
      const expected = await Promise.all(
        files.map((file) => (files.length > 1 ? downloadedHash(file) : knownHash(id, source?.sha256 ?? null))),
      );
      if (expected.some((hash) => hash === null)) {
        throw appError('NOT_FOUND', 'Nobody said what the hash of this file should be.', {
          hint: 'Its head and the length of its tensors are right. Only what is downloaded from a hub has a hash.',
        });
      }
      const { bytes: size } = this.#library.mustGet(id);
      let nBefore = 0;
      for (const [i, file] of files.entries()) {
        const { hex, bytes } = await hashFile(file, {
          signal,
          onProgress: (nDone) => onProgress((nBefore + nDone) / size),
        });
        nBefore += bytes;
        if (hex === expected[i]) continue;
        const problem = appError(
          'DOWNLOAD_MISMATCH',
          `${basename(file)} is damaged: its hash is not the one it should have.`,
          {
            hint: source?.url
              ? 'Repair it: only the damaged parts are fetched again.'
              : 'Get it again from where it came.',
            detail: `expected ${expected[i]}\ngot ${hex}`,
          },
        );
        this.#library.change(id, { state: 'damaged', problem: toErrorInfo(problem), verifiedAtMs: null });
        throw problem;
      }
      this.#library.change(id, { verifiedAtMs: Date.now(), state: 'ready', problem: null });
    });
  }

  /** Fetches again what of a downloaded model is wrong. */
  async repair(id: string): Promise<void> {
    const { source, origin, name, files } = this.#library.mustGet(id);
    if (origin !== 'downloaded' || !source?.url) {
      throw appError('NOT_FOUND', 'Outpost did not download this file, and cannot get it again.', {
        hint: 'Replace the file, then check it again.',
      });
    }
    const queued: QueuedFile[] = [];
    for (const [i, file] of files.entries()) {
      const sha256 = files.length > 1 ? await downloadedHash(file) : source.sha256;
      queued.push({
        url: files.length > 1 ? urlOfPart(source.url, i) : source.url,
        name: basename(file),
        bytes: null,
        hash: sha256 === null ? null : { algorithm: 'sha256', hex: sha256 },
      });
      // As an unfinished download whose parts are known by their hashes: what does not have its hash is fetched again.
      await rename(file, unfinishedPath(file)).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'ENOENT') throw asDiskError(error, file);
      });
      await rename(partsPath(file), journalPath(file)).catch(() => {});
    }
    this.#library.change(id, { state: 'missing', problem: null });
    this.#options.downloads.add({
      id: idOf(source.url),
      title: name,
      folder: dirname(files[0] ?? ''),
      files: queued,
      source,
      assemble: null,
      isPaused: false,
    });
  }

  async test(id: string): Promise<void> {
    await this.#job(id, 'selfTest', async (model, { signal }) => {
      this.#library.change(id, { selfTest: await this.#options.selfTest(this.#options.specOf(model), signal) });
    }).catch((error: unknown) => {
      if (!isAbort(error)) this.#options.onNotice(toErrorInfo(error));
    });
  }

  /** A model that is new: what it can do, then how few bits its context may have. */
  async tryOut(id: string): Promise<void> {
    await this.test(id);
    await this.checkKv(id).catch((error: unknown) => {
      if (!isAbort(error)) this.#options.onNotice(toErrorInfo(error));
    });
  }

  /**
   * A minute at most.
   * @param givesWay ends without a result as soon as the engine is asked for something
   * @returns whether it gave way
   */
  async checkKv(id: string, givesWay = false): Promise<boolean> {
    let gaveWay = false;
    await this.#job(id, 'kvCheck', async (model, { signal }) => {
      const kvCheck = await this.#options.checkKv(this.#options.specOf(model), givesWay, signal);
      gaveWay = kvCheck === null;
      if (kvCheck === null) return;
      this.#library.change(id, { kvCheck });
      this.#options.onKvCheck();
    });
    return gaveWay;
  }

  benchmark(id: string): Promise<void> {
    return this.#job(id, 'benchmark', async (model, { signal }) => {
      const benchmark = await this.#options.benchmark(this.#options.specOf(model), signal);
      this.#library.change(id, { benchmark });
      const { decodeTokensPerSecond, nPrompt, nDecoded } = benchmark;
      this.#options.onMeasured(id, decodeTokensPerSecond, nPrompt + nDecoded / 2);
    });
  }

  /** Ends the job that runs on a model, whose call then resolves without a result. Nothing happens without one. */
  cancel(id: string): void {
    this.#aborts.get(id)?.abort();
  }

  /**
   * Moves what was downloaded into another folder; what fails stays where it is.
   * @param onMoved gets each model's old and new id
   */
  async moveAll(from: string, folder: string, onMoved: (id: string, newId: string) => void): Promise<void> {
    await mkdir(folder, { recursive: true }).catch((error: unknown) => {
      throw asDiskError(error, folder);
    });
    for (const { id, origin, files } of this.#library.list()) {
      if (origin !== 'downloaded' || !files.every((file) => file.startsWith(from))) continue;
      this.#library.setJob(id, { kind: 'move', progress: null });
      try {
        const targets = files.map((file) => join(folder, file.slice(from.length)));
        for (const [i, file] of files.entries()) {
          await moveFile(file, targets[i] ?? file);
          await moveFile(partsPath(file), partsPath(targets[i] ?? file)).catch(() => {});
          await moveFile(calibrationPath(file), calibrationPath(targets[i] ?? file)).catch(() => {});
        }
        onMoved(id, this.#library.moved(id, targets));
      } finally {
        this.#library.setJob(id, null);
      }
    }
  }

  async #job(
    id: string,
    kind: NonNullable<ModelEntry['job']>['kind'],
    body: (model: ModelEntry, run: JobRun) => Promise<void>,
  ): Promise<void> {
    const model = this.#library.mustGet(id);
    if (model.job)
      throw appError('ENGINE_NOT_READY', 'Something else runs on this model.', { hint: 'Wait for its end.' });
    const abort = new AbortController();
    this.#aborts.set(id, abort);
    this.#library.setJob(id, { kind, progress: null });
    try {
      await body(model, {
        signal: abort.signal,
        onProgress: (progress) => this.#library.setJob(id, { kind, progress }),
      });
    } catch (error) {
      if (!abort.signal.aborted) throw error;
    } finally {
      this.#aborts.delete(id);
      this.#library.setJob(id, null);
    }
  }
}

/** What the engine's check of the KV cache writes beside a model. */
export const calibrationPath = (modelPath: string): string => `${modelPath}.kv-calibration`;

interface JobRun {
  signal: AbortSignal;
  onProgress: (fraction: number) => void;
}

function knownHash(id: string, fromSource: string | null): string | null {
  return fromSource ?? catalogModels.find((model) => catalogId(model) === id)?.sha256 ?? null;
}

/** What the hub said of a file, as it is noted beside it; null where nobody did. */
async function downloadedHash(file: string): Promise<string | null> {
  const [algorithm, hex] = (await expectedHashIn(partsPath(file)))?.split(':') ?? [];
  return algorithm === 'sha256' && hex !== undefined ? hex : null;
}

/** @param first the URL of the first part */
function urlOfPart(first: string, i: number): string {
  return first.replace(/-00001(-of-\d{5}\.gguf)$/i, `-${String(i + 1).padStart(5, '0')}$1`);
}

/** Also to another disk, where a rename is not possible. */
async function moveFile(from: string, to: string): Promise<void> {
  try {
    await mkdir(dirname(to), { recursive: true });
    await rename(from, to).catch(async (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EXDEV') throw error;
      await copyFile(from, `${to}.unfinished`);
      await rename(`${to}.unfinished`, to);
      await rm(from);
    });
  } catch (error) {
    throw asDiskError(error, to);
  }
}
