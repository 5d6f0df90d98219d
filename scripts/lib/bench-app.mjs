// The real app under a stopwatch: started on data of its own, with probes in its page.
/// <reference lib="dom" />
/// <reference lib="dom.iterable" />
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { _electron } from '@playwright/test';
import { sandboxArguments } from './display.mjs';
import { root } from './process.mjs';

/** @typedef {import('@playwright/test').Page} Page */
/** @typedef {import('@playwright/test').ElectronApplication} ElectronApplication */
/** @typedef {{ userData: string, app: ElectronApplication, page: Page, close: () => Promise<void> }} BenchApp */

/**
 * Times of keys, milliseconds from each to the next picture, and ghost text: when it stood in the document, the pictures
 * from the key on, and how long the window worked for it: the key's task, and its picture up to the text, without the wait
 * between them.
 * @typedef {{ atMs: number, text: string, nPictures: number, workMs: number }} Ghost
 * @typedef {{ keys: number[], frames: number[], ghosts: Ghost[] }} Probe
 */

export const benchFolder = join(root, 'build', 'bench', 'ui');

/** Those of somebody who knows the app. @param {string} userData */
export async function writeSettings(userData) {
  const settings = { sampler: { temperature: 0 }, hasSeenFirstSteps: true };
  await writeFile(join(userData, 'settings.json'), JSON.stringify(settings));
}

/** A folder for one measurement, empty. @param {string} name */
export async function freshFolder(name) {
  await mkdir(benchFolder, { recursive: true });
  return mkdtemp(join(benchFolder, `${name}-`));
}

/**
 * @param {{ program: string, model: string, folder?: string, userData?: string, prepare?: (userData: string) => Promise<void> }} options
 *   `userData` is kept at the end; `prepare` puts data there before the start
 * @returns {Promise<BenchApp>} once the window can be used
 */
export async function startApp({ program, model, folder, prepare, userData: known }) {
  const userData = known ?? (await freshFolder('data'));
  await writeSettings(userData);
  await prepare?.(userData);
  const app = await launch(program, [root, ...(folder ? [folder] : [])], {
    OUTPOST_USER_DATA: userData,
    OUTPOST_DEFAULT_MODEL: model,
  });
  const page = await app.firstWindow();
  await page.getByRole('region', { name: 'Status' }).waitFor();
  return { userData, app, page, close: () => end(app, known ? null : userData) };
}

/** @param {string} program @param {string[]} args @param {Record<string, string>} env */
function launch(program, args, env) {
  // Found by Playwright through the `electron` package, as in e2e/support/app.ts.
  process.env.ELECTRON_OVERRIDE_DIST_PATH = dirname(program);
  const inherited = /** @type {Record<string, string>} */ (process.env);
  return _electron.launch({ args: [...sandboxArguments(), ...args], env: { ...inherited, ...env } });
}

/** @param {ElectronApplication} app @param {string | null} folder that goes with it */
async function end(app, folder) {
  const ended = new Promise((resolve) => app.process().once('exit', resolve));
  app.process().kill('SIGKILL');
  await ended;
  if (folder !== null) await rm(folder, { recursive: true, force: true, maxRetries: 10 });
}

/**
 * Memory of the app's processes in bytes: what belongs to one alone, and its share of what several map (Linux), else the
 * working set.
 * @param {ElectronApplication} app @returns {Promise<Record<string, number>>} by kind: Browser (main), Tab, names of others
 */
export async function memoryOf(app) {
  const found = await app.evaluate(({ app: own }) =>
    own.getAppMetrics().map(({ type, name, pid, memory }) => ({ type, name, pid, kib: memory.workingSetSize })),
  );
  const entries = found.map(async ({ type, name, pid, kib }) => {
    const rollup = await readFile(`/proc/${pid}/smaps_rollup`, 'utf8').catch(() => '');
    const share = /^Pss:\s+(\d+) kB/m.exec(rollup)?.[1];
    return /** @type {const} */ ([name ?? type, 1024 * (share === undefined ? kib : Number(share))]);
  });
  return Object.fromEntries(await Promise.all(entries));
}

/**
 * Watches the keys from now on: the time of each key, when the next picture after it was made, and when ghost text
 * appeared or changed.
 * @param {Page} page
 */
export async function watchKeys(page) {
  await page.evaluate(() => {
    /** @type {Probe} */
    const probe = { keys: [], frames: [], ghosts: [] };
    Object.assign(window, { probe });
    let nPictures = 0;
    let pictureMs = 0;
    const count = () => {
      ++nPictures;
      pictureMs = performance.now();
      requestAnimationFrame(count);
    };
    requestAnimationFrame(count);
    const key = { ms: 0, endMs: 0, nPictures: 0 };
    // Where Monaco hears of what was typed; this listener comes after its own.
    const { editContext } = /** @type {{ editContext?: EventTarget }} */ (document.activeElement ?? {});
    editContext?.addEventListener('textupdate', () => {
      key.endMs = performance.now();
    });
    window.addEventListener(
      'keydown',
      ({ timeStamp }) => {
        probe.keys.push(timeStamp);
        const nowMs = performance.now();
        Object.assign(key, { ms: nowMs, endMs: nowMs, nPictures });
        requestAnimationFrame(() => {
          const { port1, port2 } = new MessageChannel();
          // After the picture was made.
          port1.onmessage = () => probe.frames.push(performance.now() - timeStamp);
          port2.postMessage(null);
        });
      },
      { capture: true },
    );
    const ghostText = () =>
      [...document.querySelectorAll('.ghost-text-decoration, .ghost-text-decoration-preview, .ghost-text')]
        .map(({ textContent }) => textContent)
        .join('\n');
    let last = '';
    const look = () => {
      const text = ghostText();
      if (text !== last && text !== '') {
        const atMs = performance.now();
        const nSinceKey = nPictures - key.nPictures;
        const workMs = nSinceKey === 0 ? atMs - key.ms : key.endMs - key.ms + (atMs - pictureMs);
        probe.ghosts.push({ atMs, text, nPictures: nSinceKey, workMs });
      }
      last = text;
    };
    new MutationObserver(look).observe(document.body, { subtree: true, childList: true, characterData: true });
  });
}

/** @param {Page} page @returns {Promise<Probe>} */
export function watched(page) {
  return page.evaluate(() => /** @type {any} */ (window).probe);
}

/** Until the model answers. @param {Page} page */
export async function ready(page) {
  await page
    .getByRole('region', { name: 'Status' })
    .getByRole('button', { name: /^Inline completion: (?!no model)/ })
    .waitFor({ timeout: 120_000 });
}

/** @param {Page} page @param {string} name */
export async function openFile(page, name) {
  await page.getByRole('treeitem', { name, exact: true }).click();
  await page.locator('.monaco-editor .view-lines').click();
  await page.locator('.monaco-editor.focused').waitFor();
}

/** @param {Page} page */
export async function openChat(page) {
  await page.getByRole('button', { name: 'Conversations' }).click();
  await page.getByRole('list', { name: 'Conversations' }).getByRole('button', { name: /^Long/ }).first().click();
  await page.getByRole('article').last().waitFor();
}

/** A conversation that is there at the start, "Long". @param {string} userData @param {number} nMessages */
export async function storeChat(userData, nMessages) {
  const { storeConversation } = await import('../../e2e/support/conversations.ts');
  const code = '```ts\nexport function add(a: number, b: number): number {\n  return a + b;\n}\n```';
  const answer = `It adds **two numbers** and has no state:\n\n${code}\n\n1. It is pure.\n2. It is short.\n`;
  const texts = Array.from({ length: nMessages }, (_, i) => (i % 2 === 0 ? `What does add do, part ${i}?` : answer));
  storeConversation(userData, 'Long', texts);
}
