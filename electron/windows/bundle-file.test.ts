import { join } from 'node:path';
import { expect, it } from 'vitest';
import { bundleFile } from './bundle-file.ts';

const directory = join('/opt', 'outpost', 'renderer');
const pathOf = (url: string) => bundleFile(directory, url)?.path;

it('finds the files of the bundle and their types', () => {
  expect(bundleFile(directory, 'outpost://app/')).toEqual({
    path: join(directory, 'index.html'),
    type: 'text/html; charset=utf-8',
  });
  expect(bundleFile(directory, 'outpost://app/assets/a%20b.js?v=1#x')).toEqual({
    path: join(directory, 'assets', 'a b.js'),
    type: 'text/javascript; charset=utf-8',
  });
  expect(pathOf('outpost://app/assets/../index.html')).toBe(join(directory, 'index.html'));
});

it.each([
  'outpost://app/../main.js',
  'outpost://app/../../../etc/passwd.html',
  'outpost://app/%2e%2e/main.js',
  'outpost://app/%2E%2E%2Fmain.js',
  'outpost://app/..%2fmain.js',
  'outpost://app/assets/..%2f..%2fmain.js',
  'outpost://app//..%2fmain.js',
  'outpost://app/..%2frenderer-2/index.html',
  'outpost://app/%2e%2e%2frenderer.html',
])('never leads out of the bundle: %s', (url) => {
  // Either refused, or what the URL itself made of its dots: a file inside.
  const path = pathOf(url);
  if (path !== undefined) expect(path.startsWith(`${directory}/`)).toBe(true);
  if (/%2f/i.test(url)) expect(path).toBeUndefined();
});

it.each([
  'outpost://other/index.html',
  'outpost://app.evil/index.html',
  'outpost:///index.html',
  'outpost://app/index.html%00.js',
  'outpost://app/%00',
  'outpost://app/%zz.js',
  'outpost://app/%ff.js',
  'outpost://app/assets',
  'outpost://app/assets/',
  'outpost://app/main.js.map',
  'outpost://app/.env',
  'outpost://app/native.node',
  'outpost://app/constructor',
  'outpost://app/a.constructor',
  'not an address',
  '',
])('refuses %j', (url) => {
  expect(bundleFile(directory, url)).toBeNull();
});
