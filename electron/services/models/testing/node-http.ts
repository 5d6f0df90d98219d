// HTTP of Node, for tests outside of Electron.
import { request as plain } from 'node:http';
import { request as secure } from 'node:https';
import type { HttpGet } from '../http.ts';

export const nodeHttp: HttpGet = ({ url, headers, signal }) =>
  new Promise((resolve, reject) => {
    const send = url.startsWith('https:') ? secure : plain;
    const request = send(url, { headers, signal, agent: false }, (response) => {
      resolve({
        status: response.statusCode ?? 0,
        header: (name) => {
          const value = response.headers[name];
          return Array.isArray(value) ? (value[0] ?? null) : (value ?? null);
        },
        body: response,
        cancel: () => void request.destroy(),
      });
    });
    request.on('error', reject);
    request.end();
  });
