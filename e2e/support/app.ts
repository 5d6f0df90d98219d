// Starts the real app, with the real engine and the real default model, on a folder and user data of its own.
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import {
  _electron,
  test as base,
  type ElectronApplication,
  expect,
  type Locator,
  type Page,
  type TestInfo,
} from '@playwright/test';
import { tinyModelBytes } from '../../electron/services/models/testing/tiny-gguf.mjs';

const root = join(import.meta.dirname, '..', '..');

function environment(name: 'OUTPOST_ELECTRON' | 'OUTPOST_DEFAULT_MODEL'): string {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set. Run the stories with "npm run test:e2e".`);
  return value;
}

export interface LaunchOptions {
  /** A folder to open, as on the command line. */
  folder?: string;
  /** The model to start with instead of the default one. */
  model?: string;
  /** Nothing is asked of a model: a tiny one is loaded, alone. The others are a third of the work of a start. */
  hasTinyModel?: boolean;
  /** The first steps appear as for a new user. */
  isNewUser?: boolean;
  /** More variables of the environment. */
  env?: Record<string, string>;
  /** Switches of Chromium. */
  switches?: string[];
}

/** Chromium refuses its sandbox to root. */
export const sandboxSwitches = process.getuid?.() === 0 ? ['--no-sandbox'] : [];

// Found by Playwright through the `electron` package. Given as `executablePath`, Playwright would take it for a
// packaged app and attach while the window is being made, which hangs now and then.
process.env.ELECTRON_OVERRIDE_DIST_PATH = dirname(environment('OUTPOST_ELECTRON'));

/** One app under test. Its user data outlives `close`, so that a story can start it again. */
export class OutpostApp {
  readonly userData: string;
  #app: ElectronApplication | null = null;
  #page: Page | null = null;

  constructor(userData: string) {
    this.userData = userData;
  }

  get electron(): ElectronApplication {
    if (this.#app === null) throw new Error('The app does not run.');
    return this.#app;
  }

  get page(): Page {
    if (this.#page === null) throw new Error('The app does not run.');
    return this.#page;
  }

  async launch(options: LaunchOptions = {}): Promise<Page> {
    const { folder, hasTinyModel = false, isNewUser = false, env = {}, switches = [] } = options;
    const model = hasTinyModel ? await this.#tinyModel() : (options.model ?? environment('OUTPOST_DEFAULT_MODEL'));
    // The likeliest token always: a story must not depend on chance.
    const settings = { sampler: { temperature: 0 }, ...(isNewUser ? {} : { hasSeenFirstSteps: true }) };
    await writeFile(join(this.userData, 'settings.json'), JSON.stringify(settings), { flag: 'wx' }).catch(() => {});
    this.#app = await _electron.launch({
      args: [...sandboxSwitches, ...switches, root, ...(folder ? [folder] : [])],
      env: {
        ...(process.env as Record<string, string>),
        OUTPOST_USER_DATA: this.userData,
        OUTPOST_DEFAULT_MODEL: model,
        ...env,
      },
    });
    this.#page = await this.#app.firstWindow();
    const isThere = isNewUser
      ? this.#page.getByRole('dialog', { name: 'Welcome to Outpost' })
      : this.#page.getByRole('region', { name: 'Status' });
    await isThere.waitFor();
    return this.#page;
  }

  /** Closes the window as a user does and waits until every process has ended. */
  async close(): Promise<void> {
    const app = this.#app;
    if (app === null) return;
    this.#app = null;
    const ended = new Promise((resolve) => app.process().once('exit', resolve));
    await app.evaluate(({ BrowserWindow }) => BrowserWindow.getAllWindows()[0]?.close()).catch(() => {});
    await ended;
  }

  /** Ends the app at once, as a power cut would. */
  async kill(): Promise<void> {
    const app = this.#app;
    if (app === null) return;
    this.#app = null;
    const ended = new Promise((resolve) => app.process().once('exit', resolve));
    app.process().kill('SIGKILL');
    await ended;
  }

  /** Keeps a picture of the window, if there is one, as an artefact of the story. @param hidden what is greyed out */
  async picture(info: TestInfo, name: string, hidden: Locator[] = []): Promise<void> {
    if (this.#app !== null) await keepPicture(this.page, info, name, hidden);
  }

  /** The process ids of the app's utility processes by their names. */
  async processIds(): Promise<Record<string, number>> {
    const found = await this.#metrics();
    return Object.fromEntries(found.map(({ name, serviceName, pid }) => [name ?? serviceName ?? '', pid]));
  }

  /** Processor time that the engine process has used, in seconds. */
  async engineSeconds(): Promise<number> {
    const metrics = await this.#metrics();
    return metrics.find(({ name }) => name === 'Outpost Engine')?.cpu.cumulativeCPUUsage ?? Number.NaN;
  }

  /** @returns its path; no other model has a role then */
  async #tinyModel(): Promise<string> {
    const path = join(this.userData, 'tiny.gguf');
    await writeFile(path, tinyModelBytes({ nLayer: 1, nEmbd: 64, nCtxTrain: 512, type: 'q8_0' }));
    const roles = { everywhere: { inline: null }, folders: {} };
    await writeFile(join(this.userData, 'model-roles.json'), JSON.stringify(roles));
    return path;
  }

  #metrics(): Promise<Electron.ProcessMetric[]> {
    return this.inMain(({ app }) => app.getAppMetrics());
  }

  /**
   * Playwright's `evaluate`: runs in main. Its answer may be lost while main starts ("promise was garbage collected"), also
   * several times: then it is asked again.
   */
  get inMain(): ElectronApplication['evaluate'] {
    const ask = this.electron.evaluate.bind(this.electron) as (...input: unknown[]) => Promise<unknown>;
    const askAgain = async (...input: unknown[]): Promise<unknown> => {
      for (let nLeft = 10; ; --nLeft) {
        try {
          return await ask(...input);
        } catch (error) {
          if (nLeft === 0 || !(error as Error).message.includes('garbage collected')) throw error;
        }
      }
    };
    return askAgain as ElectronApplication['evaluate'];
  }

  async waitForModel(): Promise<void> {
    await expect(this.page.getByRole('region', { name: 'Status' })).toContainText('TinyLlama', { timeout: 60_000 });
  }
}

/** @param hidden what is greyed out */
export async function keepPicture(
  page: Page,
  { titlePath }: TestInfo,
  name: string,
  hidden: Locator[] = [],
): Promise<void> {
  const path = join(root, 'test-artifacts', 'pictures', `${titlePath.slice(1).join(' - ')} - ${name}.png`);
  // Finished animations: a dialog that is half faded in tells nothing.
  const mask = { mask: hidden, maskColor: '#8c8c8c' };
  await page.screenshot({ path: path.replaceAll(/[^\w./ -]/g, ''), animations: 'disabled', ...mask });
}

/** Writes files below `folder`, given by their paths. */
export async function writeFiles(folder: string, files: Readonly<Record<string, string | Buffer>>): Promise<void> {
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), content);
  }
}

interface Fixtures {
  outpost: OutpostApp;
  /** An empty folder that is deleted afterwards. */
  folder: string;
  /** Keeps a picture of the window as an artefact of the story. */
  picture: (name: string, hidden?: Locator[]) => Promise<void>;
}

export const test = base.extend<Fixtures>({
  // biome-ignore lint/correctness/noEmptyPattern: Playwright reads the fixtures that are needed from the pattern
  folder: async ({}, use) => {
    const folder = await mkdtemp(join(tmpdir(), 'outpost-e2e-folder-'));
    await use(folder);
    await rm(folder, { recursive: true, force: true });
  },
  // biome-ignore lint/correctness/noEmptyPattern: see above
  outpost: async ({}, use, info) => {
    const outpost = new OutpostApp(await mkdtemp(join(tmpdir(), 'outpost-e2e-data-')));
    await use(outpost);
    // What it looked like when it failed.
    if (info.status !== info.expectedStatus) await outpost.picture(info, 'end');
    await outpost.kill();
    await rm(outpost.userData, { recursive: true, force: true, maxRetries: 10 });
  },
  picture: async ({ outpost }, use, info) => {
    await use((name, hidden) => outpost.picture(info, name, hidden));
  },
});

export { expect };
