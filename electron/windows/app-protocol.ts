// outpost://app/…: the renderer's files, from the bundle and from nowhere else, with a strict policy.
import { readFileSync } from 'node:fs';
import { protocol } from 'electron';
import { bundleFile } from './bundle-file.ts';

export const appOrigin = 'outpost://app';

/**
 * Own scripts only, no eval, no network. Styles may be inline: Monaco and the menus set them. `data:` is for the
 * small pictures inside of style sheets.
 */
const contentSecurityPolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "worker-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "font-src 'self' data:",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** Before the app is ready. */
export function registerAppScheme(): void {
  protocol.registerSchemesAsPrivileged([
    { scheme: 'outpost', privileges: { standard: true, secure: true, supportFetchAPI: true, codeCache: true } },
  ]);
}

/**
 * With the older of Electron's two ways: the newer answers with a `Response`, for which Node loads its whole HTTP client
 * before the first page, a tenth of a second of each start.
 * @param directory the renderer's bundle
 */
export function serveApp(directory: string): void {
  protocol.registerBufferProtocol('outpost', (request, answer) => {
    const file = request.method === 'GET' ? bundleFile(directory, request.url) : null;
    const data = file && readIfThere(file.path);
    if (file === null || data === null) {
      answer({ statusCode: 404, mimeType: 'text/plain', data: Buffer.from('Not found') });
      return;
    }
    const headers = {
      'Content-Type': file.type,
      'Content-Security-Policy': contentSecurityPolicy,
      'X-Content-Type-Options': 'nosniff',
    };
    answer({ mimeType: file.type.split(';', 1)[0] ?? '', headers, data });
  });
}

/** At once: a page's scripts are in the system's memory already, and the way over Node's threads takes longer. */
function readIfThere(path: string): Buffer | null {
  try {
    return readFileSync(path);
  } catch {
    return null;
  }
}
