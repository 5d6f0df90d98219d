// outpost://app/…: the renderer's files, from the bundle and from nowhere else, with a strict policy.
import { readFile } from 'node:fs/promises';
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

/** @param directory the renderer's bundle */
export function serveApp(directory: string): void {
  protocol.handle('outpost', async (request) => {
    const file = request.method === 'GET' ? bundleFile(directory, request.url) : null;
    const content = file && (await readFile(file.path).catch(() => null));
    if (file === null || content === null) return notFound();
    const headers = {
      'Content-Type': file.type,
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
