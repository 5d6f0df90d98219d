// What the downloader needs of HTTP, so that it runs over Chromium's network in the app and over Node's in tests.
// Redirects are followed here and not below: each hop passes the gate to the network, and a token stays with its host.
import { ORPCError } from '@orpc/client';
import { type AppError, appError } from '../../common/app-error.ts';
import { isAbort } from '../../common/error-info.ts';
import { ProxyError } from './proxy.ts';

export interface HttpResponse {
  status: number;
  header(name: string): string | null;
  /** Throws if the connection breaks before its end. Leaving the loop closes the connection. */
  body: AsyncIterable<Uint8Array>;
  /** Closes the connection without reading the body. */
  cancel(): void;
}

export interface HttpRequest {
  url: string;
  headers: Readonly<Record<string, string>>;
  signal: AbortSignal;
}

/** One request; a redirect is an answer like any other. @throws if nobody answers */
export type HttpGet = (request: HttpRequest) => Promise<HttpResponse>;

const mostHops = 6;
const redirects = new Set([301, 302, 303, 307, 308]);

interface FollowOptions extends HttpRequest {
  /** Sent to the first host only. */
  token: string | null;
  /** A server that says nothing for so long is given up. */
  answerMs?: number;
}

/**
 * @returns the first answer that is no redirect, and where it came from
 * @throws NETWORK_FAILED, for redirects that lead nowhere too; NETWORK_OFF; the signal's reason
 */
export async function getFollowing(
  get: HttpGet,
  { url, headers, token, signal, answerMs = 30_000 }: FollowOptions,
): Promise<{ response: HttpResponse; url: string }> {
  const first = new URL(url);
  let at = first;
  for (let hop = 0; hop < mostHops; hop++) {
    const authorization: Record<string, string> =
      token !== null && at.origin === first.origin ? { authorization: `Bearer ${token}` } : {};
    const waiting = new AbortController();
    const timer = setTimeout(() => {
      waiting.abort(new Error(`It did not answer within ${Math.round(answerMs / 1000)} seconds.`));
    }, answerMs);
    const either = AbortSignal.any([signal, waiting.signal]);
    const { host, href } = at;
    const response = await get({ url: href, headers: { ...headers, ...authorization }, signal: either })
      .catch((error) => {
        signal.throwIfAborted();
        if (error instanceof ORPCError) throw error;
        throw connectionError(host, waiting.signal.aborted ? waiting.signal.reason : error);
      })
      .finally(() => clearTimeout(timer));
    if (!redirects.has(response.status)) return { response, url: at.href };
    const location = response.header('location');
    response.cancel();
    if (location === null || !URL.canParse(location, at.href)) {
      throw appError('NETWORK_FAILED', `${at.host} redirects, but not to an address.`, tryLater);
    }
    const next = new URL(location, at.href);
    const isWorse = at.protocol === 'https:' && next.protocol !== 'https:';
    if (!/^https?:$/.test(next.protocol) || isWorse) {
      throw appError('NETWORK_FAILED', `${at.host} redirects to ${next.protocol}//${next.host}, which is not safe.`);
    }
    at = next;
  }
  throw appError('NETWORK_FAILED', `${first.host} redirects more than ${mostHops} times.`, tryLater);
}

/** No answer came. What the connection said is the cause: by that others know that another attempt may do better. */
function connectionError(host: string, error: Error): AppError {
  const isProxy = error instanceof ProxyError;
  const message = isProxy ? error.message : `${host} could not be reached.`;
  const hint = isProxy ? error.hint : 'Check the connection, and the addresses in the settings.';
  return appError('NETWORK_FAILED', message, isProxy ? { hint } : { hint, detail: error.message }, error);
}

export const tryLater = { hint: 'Try again later.' };

/** The whole body, at most `mostBytes` of it. @throws NETWORK_FAILED if there is more */
export async function readBody(response: HttpResponse, mostBytes: number, what: string): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let n = 0;
  try {
    for await (const chunk of response.body) {
      n += chunk.length;
      if (n > mostBytes) throw appError('NETWORK_FAILED', `${what} is longer than ${mostBytes} bytes.`);
      chunks.push(chunk);
    }
  } catch (error) {
    if (error instanceof ORPCError || isAbort(error)) throw error;
    throw appError('NETWORK_FAILED', `${what} broke off.`, { ...tryLater, detail: String(error) }, error);
  }
  return Buffer.concat(chunks);
}

/**
 * The body, with an error if nothing arrives for `idleMs`. @throws NETWORK_FAILED
 */
export async function* withoutStalls(
  response: HttpResponse,
  idleMs: number,
  host: string,
): AsyncGenerator<Uint8Array, void, void> {
  const chunks = response.body[Symbol.asyncIterator]();
  try {
    for (;;) {
      let timer: ReturnType<typeof setTimeout> | undefined;
      const stall = new Promise<never>((_resolve, reject) => {
        timer = setTimeout(
          () => reject(appError('NETWORK_FAILED', `${host} sent nothing for ${Math.round(idleMs / 1000)} seconds.`)),
          idleMs,
        );
      });
      const reading = chunks.next();
      reading.catch(() => {}); // of a stalled read nobody waits for
      const next = await Promise.race([reading, stall]).finally(() => clearTimeout(timer));
      if (next.done) return;
      yield next.value;
    }
  } finally {
    response.cancel();
  }
}
