// outpost://app/…: the renderer's files, from the bundle and from nowhere else, with a strict policy.
import { readFile } from 'node:fs/promises';
import { extname, join, normalize, sep } from 'node:path';
import { protocol } from 'electron';

export const appOrigin = 'outpost://app';

const mediaTypes: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.ttf': 'font/ttf',
  '.woff2': 'font/woff2',
};

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

/** @param directory the renderer's bundle */
export function serveApp(directory: string): void {
  protocol.handle('outpost', async (request) => {
    const { host, pathname } = new URL(request.url);
    const path = normalize(join(directory, decodeURIComponent(pathname === '/' ? '/index.html' : pathname)));
    if (request.method !== 'GET' || host !== 'app' || !path.startsWith(directory + sep)) return notFound();
    const type = mediaTypes[extname(path)];
    const content = type === undefined ? null : await readFile(path).catch(() => null);
    if (content === null || type === undefined) return notFound();
    const headers = {
      'Content-Type': type,
      'Content-Security-Policy': contentSecurityPolicy,
      'X-Content-Type-Options': 'nosniff',
      'Cross-Origin-Opener-Policy': 'same-origin',
    };
    return new Response(new Uint8Array(content), { headers });
  });
}

function notFound(): Response {
  return new Response('Not found', { status: 404 });
}
