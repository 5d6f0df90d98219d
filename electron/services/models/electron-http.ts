// HTTP over Chromium's network, which knows the system's proxies and certificates. The only way out of this app that is
// not the user's browser; every request passes the gate first.
import { net, type Session } from 'electron';
import type { HttpGet, HttpResponse } from './http.ts';

/** @param ask the gate: throws if the network is off, and writes the request down */
export function electronHttp(session: Session, ask: (url: string) => void): HttpGet {
  return ({ url, headers, signal }) =>
    new Promise((resolve, reject) => {
      signal.throwIfAborted();
      ask(url);
      const request = net.request({ url, session, redirect: 'manual', credentials: 'omit', cache: 'no-store' });
      for (const [name, value] of Object.entries(headers)) request.setHeader(name, value);
      const abort = () => {
        request.abort();
        reject(signal.reason);
      };
      signal.addEventListener('abort', abort, { once: true });
      const done = () => signal.removeEventListener('abort', abort);
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
