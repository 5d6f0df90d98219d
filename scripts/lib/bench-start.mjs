// How long the app takes from nothing to a window that takes keys, against an empty window of Electron.
/// <reference lib="dom" />
import { spawn } from 'node:child_process';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { chromium } from '@playwright/test';
import { quantile } from './bench-addon.mjs';
import { freshFolder, openFile, startApp, writeSettings } from './bench-app.mjs';
import { sandboxArguments } from './display.mjs';
import { root } from './process.mjs';

/**
 * @param {{ program: string, model: string, nRuns: number }} options
 * @returns {Promise<[string, string, string, boolean | null][]>} rows of the table
 */
export async function coldStart({ program, model, nRuns }) {
  const folders = {
    empty: await freshFolder('empty'),
    bare: await freshFolder('data'),
    session: await freshFolder('data'),
    project: await freshFolder('project'),
  };
  await writeEmptyApp(folders.empty);
  await writeSettings(folders.bare);
  await keepSession({ program, model, userData: folders.session, folder: folders.project });
  const start = (/** @type {string} */ userData) =>
    msFromSpawn(program, root, { OUTPOST_USER_DATA: userData, OUTPOST_DEFAULT_MODEL: model }, [
      'first-contentful-paint',
      'interactive',
    ]);
  /** @type {{ empty: number, paint: number, bare: number, session: number }[]} */
  const times = [];
  // In turns, so that whatever else the machine does meets all. The first of each fills what later starts have: the
  // disk's cache, and the compiled scripts in the user's data.
  for (let i = 0; i <= nRuns; ++i) {
    const [empty = 0] = await msFromSpawn(program, folders.empty, {}, ['first-contentful-paint']);
    const [paint = 0, bare = 0] = await start(folders.bare);
    const [, session = 0] = await start(folders.session);
    if (i > 0) times.push({ empty, paint, bare, session });
  }
  for (const folder of Object.values(folders)) await rm(folder, { recursive: true, force: true, maxRetries: 10 });
  const half = (/** @type {'empty' | 'paint' | 'bare' | 'session'} */ name) =>
    quantile(
      times.map((found) => found[name]),
      0.5,
    );
  const base = half('empty');
  const inWords = (/** @type {number} */ value) => `${Math.round(value)} ms, ${(value / base).toFixed(2)} ×`;
  return [
    ['an empty Electron window, first picture', `${Math.round(base)} ms`, '', null],
    ['cold start to the first picture', inWords(half('paint')), '', null],
    [
      'cold start to a window that takes keys',
      inWords(half('bare')),
      '1.5 × the empty window',
      half('bare') <= 1.5 * base,
    ],
    ['the same with the folder and the file of the last session', inWords(half('session')), '', null],
  ];
}

/**
 * A folder with a file open in the editor, as somebody left it.
 * @param {{ program: string, model: string, userData: string, folder: string }} options
 */
async function keepSession(options) {
  await writeFile(join(options.folder, 'values.ts'), 'export const values = [1, 2, 3];\n'.repeat(500));
  const { page, close } = await startApp(options);
  await openFile(page, 'values.ts');
  await page.waitForTimeout(2000); // the session is stored a moment after each change
  await close();
}

/** An app of one window with one line of text: what Electron itself costs. @param {string} folder for its files */
async function writeEmptyApp(folder) {
  await writeFile(join(folder, 'package.json'), JSON.stringify({ name: 'empty', main: 'main.js' }));
  await writeFile(join(folder, 'index.html'), '<!doctype html><title>empty</title><p>Hello.</p>');
  await writeFile(
    join(folder, 'main.js'),
    `const { app, BrowserWindow } = require('electron');
     app.setPath('userData', __dirname + '/data');
     app.whenReady().then(() => {
       const window = new BrowserWindow({ width: 1360, height: 860, show: false, webPreferences: { sandbox: true } });
       window.once('ready-to-show', () => window.show());
       window.loadFile('index.html');
     });`,
  );
}

/** Longer than a start takes: nobody looks at the page, or takes the processor, before it is over. */
const kStartMs = 6000;

/**
 * Starts an app as a user does: no debugger holds it back, as Playwright's does. Milliseconds from the spawning on; the
 * system's own time of a process's making is no base, since it may be half a second off.
 * @param {string} program @param {string} app its folder @param {Record<string, string>} env
 * @param {string[]} marks names of the page's performance entries
 * @returns {Promise<number[]>} when each was made
 */
async function msFromSpawn(program, app, env, marks) {
  const inherited = /** @type {Record<string, string>} */ (process.env);
  const spawnedMs = Date.now();
  const child = spawn(program, [...sandboxArguments(), '--remote-debugging-port=0', app], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...inherited, ...env },
  });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  /** @type {string} */
  const address = await new Promise((resolve, reject) => {
    let text = '';
    child.stderr.setEncoding('utf8').on('data', (piece) => {
      text += piece;
      const [, found] = /DevTools listening on (ws:\S+)/.exec(text) ?? [];
      if (found) resolve(found);
    });
    ended.then(() => reject(new Error(`${app} ended before it had a window:\n${text}`)));
  });
  await new Promise((resolve) => setTimeout(resolve, kStartMs));
  const browser = await chromium.connectOverCDP(address);
  try {
    const page = browser.contexts()[0]?.pages()[0];
    if (!page) throw new Error(`${app} has no window after ${kStartMs} ms.`);
    const times = await page.evaluate((names) => {
      const found = names.map((name) => performance.getEntriesByName(name)[0]?.startTime ?? Number.NaN);
      return found.map((time) => performance.timeOrigin + time);
    }, marks);
    if (times.some(Number.isNaN)) throw new Error(`${app} is not there after ${kStartMs} ms: ${marks}, ${times}.`);
    return times.map((time) => time - spawnedMs);
  } finally {
    await browser.close().catch(() => {});
    child.kill('SIGKILL');
    await ended;
  }
}
