// Gets ranges of one remote file, each with retries that go on where the connection broke. Nothing a server says is
// believed without a look: a range that is not the one asked for, or a file that changed meanwhile, is an error.
import { createHash, type Hash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { ORPCError } from '@orpc/client';
import { appError } from '../../common/app-error.ts';
import { isAbort } from '../../common/error-info.ts';
import { sleep } from '../../common/sleep.ts';
import { getFollowing, type HttpResponse, tryLater, withoutStalls } from './http.ts';
import type { DownloadSource, DownloadTools } from './parts.ts';
import { ProxyError } from './proxy.ts';
import { writeAll } from './write-all.ts';

export interface RemoteFile {
  bytes: number;
  /** Null if the server names no versions, or only weakly. */
  etag: string | null;
  /** Else it sends the whole file whatever is asked for. */
  acceptsRanges: boolean;
}

/** Failures in a row without a byte between them. */
const mostAttempts = 6;
const longestRetryAfterMs = 120_000;

/** Worth another attempt after a pause. */
class RetryableError extends Error {
  readonly afterMs: number;
  constructor(message: string, afterMs = 0) {
    super(message);
    this.afterMs = afterMs;
  }
}

/** The first bytes of a range, and the hash that goes on from them. */
export interface Beginning {
  bytes: number;
  hash: Hash;
}

export class PartLoader {
  readonly #source: DownloadSource;
  readonly #tools: DownloadTools;
  readonly #signal: AbortSignal;
  #remote: RemoteFile | null = null;

  constructor(source: DownloadSource, tools: DownloadTools, signal: AbortSignal) {
    this.#source = source;
    this.#tools = tools;
    this.#signal = signal;
  }

  /** What the server says of the file, by asking for its first byte. @throws DOWNLOAD_MISMATCH if it has another length */
  async probe(): Promise<RemoteFile> {
    const remote = await this.#withRetries(this.#signal, async () => {
      const response = await this.#request(0, 1, this.#signal);
      response.cancel();
      if (response.status === 206) {
        const range = parseContentRange(response.header('content-range'));
        if (range === null || range.start !== 0 || range.total === null) {
          throw new RetryableError(`${this.#host} answers a request for a range without saying which one it sends`);
        }
        return { bytes: range.total, etag: etagOf(response), acceptsRanges: true };
      }
      const length = response.header('content-length');
      const bytes = length !== null && /^\d+$/.test(length) ? Number(length) : this.#source.bytes;
      if (bytes === null || bytes === 0) {
        throw appError('NETWORK_FAILED', `${this.#host} does not say how long the file is.`, tryLater);
      }
      return { bytes, etag: etagOf(response), acceptsRanges: false };
    });
    const { bytes } = this.#source;
    if (bytes !== null && bytes !== remote.bytes) {
      throw appError(
        'DOWNLOAD_MISMATCH',
        `The file at ${this.#host} has ${remote.bytes} bytes; ${bytes} were expected.`,
        { hint: 'It was replaced since it was listed. Search for it again.' },
      );
    }
    this.#remote = remote;
    return remote;
  }

  /**
   * @param beginning what is there already of the range, by its length and its hash so far
   * @param onBytes bytes that arrived; negative if they have to be fetched again. What it does is waited for
   * @returns the sha256 of the range as it arrived
   */
  async load(
    { offset, bytes }: { offset: number; bytes: number },
    file: FileHandle,
    signal: AbortSignal,
    onBytes: (n: number, soFar: Beginning) => Promise<void> | void,
    beginning: Beginning = { bytes: 0, hash: createHash('sha256') },
  ): Promise<string> {
    let { hash, bytes: nDone } = beginning;
    const restart = () => {
      if (nDone === 0) return;
      void onBytes(-nDone, { bytes: 0, hash });
      hash = createHash('sha256');
      nDone = 0;
    };
    return this.#withRetries(signal, async (progressed) => {
      if (this.#remote?.acceptsRanges === false) restart();
      const response = await this.#request(offset + nDone, bytes - nDone, signal);
      try {
        this.#check(response, offset + nDone, bytes - nDone);
        for await (const chunk of withoutStalls(response, this.#tools.idleMs, this.#host)) {
          signal.throwIfAborted();
          const wanted = chunk.subarray(0, bytes - nDone);
          await writeAll(file, wanted, offset + nDone);
          hash.update(wanted);
          nDone += wanted.length;
          await onBytes(wanted.length, { bytes: nDone, hash });
          if (wanted.length > 0) progressed();
          if (nDone === bytes) return hash.digest('hex');
          await this.#tools.limit.take(wanted.length, signal);
        }
      } finally {
        response.cancel();
      }
      throw new RetryableError(`${this.#host} sent ${nDone} of ${bytes} bytes and ended`);
    });
  }

  get #host(): string {
    return new URL(this.#source.url).host || 'The folder';
  }

  async #request(offset: number, bytes: number, signal: AbortSignal): Promise<HttpResponse> {
    const { url, token } = this.#source;
    const headers = { range: `bytes=${offset}-${offset + bytes - 1}`, 'accept-encoding': 'identity' };
    const answerMs = this.#tools.idleMs;
    const { response } = await getFollowing(this.#tools.get, { url, headers, token, signal, answerMs });
    const { status } = response;
    if (status === 200 || status === 206) return response;
    response.cancel();
    throw statusError(status, response, this.#host, token !== null);
  }

  /** @throws if the answer is no part of the file that was probed */
  #check(response: HttpResponse, offset: number, bytes: number): void {
    const remote = this.#remote;
    if (remote === null) throw new Error('A range was asked for before the file was probed.');
    const etag = etagOf(response);
    if (remote.etag !== null && etag !== null && etag !== remote.etag && this.#source.hash === null) {
      throw appError('DOWNLOAD_MISMATCH', `The file at ${this.#host} was replaced during the download.`, {
        hint: 'Go on to start it over.',
      });
    }
    if (!remote.acceptsRanges) return;
    const range = response.status === 206 ? parseContentRange(response.header('content-range')) : null;
    const isRight = range?.start === offset && (range.total === null || range.total === remote.bytes);
    if (isRight && range.end <= offset + bytes - 1) return;
    const got = range ? `bytes ${range.start} to ${range.end} of ${range.total}` : `status ${response.status}`;
    throw new RetryableError(`${this.#host} was asked for bytes ${offset} to ${offset + bytes - 1} and sends ${got}`);
  }

  #givenUp(error: Error): Error {
    const cause = error.cause instanceof Error ? error.cause : error;
    if (cause instanceof ProxyError) {
      const hint = `${cause.hint} Then go on: what has arrived is kept.`;
      return appError('NETWORK_FAILED', cause.message, { hint }, cause);
    }
    const message = `${this.#host} could not be reached, or broke off ${mostAttempts} times in a row.`;
    const hint = 'Check the connection, then go on: what has arrived is kept.';
    return appError('NETWORK_FAILED', message, { hint, detail: cause.message }, cause);
  }

  /** Failures count from the last byte that arrived. */
  async #withRetries<T>(signal: AbortSignal, attempt: (progressed: () => void) => Promise<T>): Promise<T> {
    for (let nFailed = 0; ; ) {
      try {
        return await attempt(() => {
          nFailed = 0;
        });
      } catch (error) {
        signal.throwIfAborted();
        if (!isRetryable(error)) throw error;
        nFailed += 1;
        if (nFailed >= mostAttempts) throw this.#givenUp(error as Error);
        const afterMs = error instanceof RetryableError ? error.afterMs : 0;
        await sleep(Math.max(afterMs, this.#tools.retryMs(nFailed)), signal);
      }
    }
  }
}

/** Of the network's errors everything; of ours only those that it caused. Errors of the disk are final. */
function isRetryable(error: unknown): boolean {
  if (error instanceof RetryableError) return true;
  if (error instanceof ORPCError) {
    const { code, data, cause } = error;
    return code === 'NETWORK_FAILED' && (data?.hint === undefined || cause instanceof Error);
  }
  if (isAbort(error) || !(error instanceof Error)) return false;
  const { code, syscall } = error as NodeJS.ErrnoException;
  return !(syscall !== undefined && ['open', 'read', 'write', 'ftruncate'].includes(syscall) && code !== 'ECONNRESET');
}

function statusError(status: number, response: HttpResponse, host: string, hasToken: boolean): Error {
  if (status === 401 || status === 403) {
    return appError(
      'HUB_GATED',
      `${host} does not give this file ${hasToken ? 'for your token' : 'without a token'}.`,
      {
        hint: hasToken
          ? 'Accept the terms of the model on its page, and check that the token may read it.'
          : 'Accept the terms of the model on its page, then give Outpost an access token.',
      },
    );
  }
  if (status === 404 || status === 410) {
    return appError('NOT_FOUND', `${host} does not have this file any more.`, { hint: 'Search for it again.' });
  }
  if (status === 416) {
    return appError('DOWNLOAD_MISMATCH', `The file at ${host} is shorter than expected.`, {
      hint: 'It was replaced since it was listed. Search for it again.',
    });
  }
  if (status === 408 || status === 425 || status === 429 || status >= 500) {
    return new RetryableError(`${host} answered with status ${status}`, retryAfterMs(response.header('retry-after')));
  }
  return appError('NETWORK_FAILED', `${host} answered with status ${status}.`, tryLater);
}

function retryAfterMs(value: string | null): number {
  if (value === null) return 0;
  const ms = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now();
  return Number.isFinite(ms) ? Math.min(Math.max(ms, 0), longestRetryAfterMs) : 0;
}

/** A weak ETag names no bytes. */
function etagOf(response: HttpResponse): string | null {
  const etag = response.header('etag');
  return etag === null || etag.startsWith('W/') ? null : etag;
}

/** RFC 9110, 14.4: "bytes 0-99/1000" or "bytes 0-99/*" */
export function parseContentRange(value: string | null): { start: number; end: number; total: number | null } | null {
  const found = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15}|\*)$/.exec(value?.trim() ?? '');
  if (!found) return null;
  const [start, end] = [Number(found[1]), Number(found[2])];
  const total = found[3] === '*' ? null : Number(found[3]);
  return end < start || (total !== null && end >= total) ? null : { start, end, total };
}
