// From an address of our own scheme to a file of the renderer's bundle. Nothing else is ever served.
import { extname, join, normalize, sep } from 'node:path';

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
 * @param directory the bundle, absolute
 * @returns null for what is not below it, whatever the encoding, and for kinds of files that a page does not need
 */
export function bundleFile(directory: string, url: string): { path: string; type: string } | null {
  try {
    const { host, pathname } = new URL(url);
    const path = normalize(join(directory, decodeURIComponent(pathname === '/' ? '/index.html' : pathname)));
    const type = mediaTypes[extname(path)];
    const isServed = host === 'app' && path.startsWith(directory + sep) && !path.includes('\0');
    return isServed && type !== undefined ? { path, type } : null;
  } catch {
    return null; // no address at all, or an encoding that is none
  }
}
