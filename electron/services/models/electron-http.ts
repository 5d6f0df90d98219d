// HTTP over Chromium's network, which knows the system's proxies and certificates. The only way out of this app that is
// not the user's browser; every request passes the gate first.
import { type ClientRequest, net, type Session } from 'electron';
import type { HttpGet, HttpResponse } from './http.ts';
import { type EnvironmentProxy, loginError, ProxyError, proxyError, proxyOfEnvironment } from './proxy.ts';

/** Requests of one session. */
export class ElectronHttp {
  readonly #session: Session;
  readonly #proxy: EnvironmentProxy | null;
  /** Settles when the session knows its proxy. */
  readonly #isReady: Promise<void>;

  constructor(session: Session, environment: NodeJS.ProcessEnv) {
    this.#session = session;
    this.#proxy = proxyOfEnvironment(environment);
    this.#isReady = this.#proxy
      ? session.setProxy({
          mode: 'fixed_servers',
          proxyRules: this.#proxy.rules,
          proxyBypassRules: this.#proxy.bypass,
        })
      : Promise.resolve();
  }

  /** @param ask the gate: throws if the network is off, and writes the request down */
  through(ask: (url: string) => void): HttpGet {
    return async (request) => {
      request.signal.throwIfAborted();
      ask(request.url);
      await this.#isReady;
      return this.#send(request).catch(async (error: unknown) => {
        if (!(error instanceof Error) || error instanceof ProxyError) throw error;
        throw proxyError(error.message, request.url, await this.#session.resolveProxy(request.url)) ?? error;
      });
    };
  }

  #send({ url, headers, signal }: Parameters<HttpGet>[0]): Promise<HttpResponse> {
    return new Promise((resolve, reject) => {
      signal.throwIfAborted();
      const request = net.request({
        url,
        session: this.#session,
        redirect: 'manual',
        credentials: 'omit',
        cache: 'no-store',
      });
      for (const [name, value] of Object.entries(headers)) request.setHeader(name, value);
      const abort = () => {
        request.abort();
        reject(signal.reason);
      };
      signal.addEventListener('abort', abort, { once: true });
      const done = () => signal.removeEventListener('abort', abort);
      this.#logIn(request, url, (error) => {
        done();
        reject(error);
        request.abort();
      });
      request.on('redirect', (status, _method, location) => {
        done();
        request.abort();
        resolve({
          status,
          header: (name) => (name === 'location' ? location : null),
          body: (async function* () {})(),
          cancel: () => {},
        });
      });
      request.on('response', (response) => {
        const body = response as unknown as AsyncIterable<Uint8Array> & { on: (...args: unknown[]) => void };
        body.on('end', done);
        body.on('close', done);
        resolve({
          status: response.statusCode,
          header: (name) => {
            const value = response.headers[name];
            return Array.isArray(value) ? (value[0] ?? null) : (value ?? null);
          },
          body,
          cancel: () => {
            done();
            request.abort();
          },
        } satisfies HttpResponse);
      });
      request.on('error', (error) => {
        done();
        reject(error);
      });
      request.end();
    });
  }

  /** A proxy that wants to know who asks is told what the environment says, once: a second question means no. */
  #logIn(request: ClientRequest, url: string, fail: (error: Error) => void): void {
    let hasTried = false;
    request.on('login', ({ isProxy, host, port }, answer) => {
      const proxy = `${host}:${port}`;
      const login = isProxy ? this.#proxy?.logins.get(proxy) : undefined;
      if (login && !hasTried) {
        hasTried = true;
        answer(login.name, login.password);
        return;
      }
      answer();
      if (isProxy) fail(loginError(proxy, url, hasTried));
    });
  }
}
