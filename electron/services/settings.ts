// The user's settings: a JSON file that may be edited by hand, and may be wrong in places.
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { appError } from '../common/app-error.ts';
import type { ErrorInfo } from '../common/errors.ts';
import { type Settings, type SettingsPatch, settingsSchema } from '../common/settings.ts';

export class SettingsFile {
  readonly #path: string;
  #settings: Settings;
  /** What was wrong with the file, for the user; null if nothing was. */
  readonly problem: ErrorInfo | null;

  constructor(path: string) {
    this.#path = path;
    const { settings, problem } = readSettings(path);
    this.#settings = settings;
    this.problem = problem;
  }

  get current(): Settings {
    return this.#settings;
  }

  /** @throws IO_ERROR if the file cannot be written; the settings are as before then */
  update(patch: SettingsPatch): Settings {
    const settings = settingsSchema.parse({ ...this.#settings, ...patch });
    const temporary = `${this.#path}.tmp`;
    try {
      writeFileSync(temporary, `${JSON.stringify(settings, null, 2)}\n`);
      renameSync(temporary, this.#path);
    } catch (error) {
      rmSync(temporary, { force: true });
      throw appError('IO_ERROR', 'The settings could not be saved.', { detail: (error as Error).message }, error);
    }
    this.#settings = settings;
    return settings;
  }
}

/** Takes every field that is valid; the others keep their defaults. A file that is no JSON is kept beside. */
function readSettings(path: string): { settings: Settings; problem: ErrorInfo | null } {
  const defaults = settingsSchema.parse({});
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    const isMissing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    return { settings: defaults, problem: isMissing ? null : settingsProblem(`${path} cannot be read.`, error) };
  }
  let stored: Json;
  try {
    const value: unknown = JSON.parse(text.replace(/^\uFEFF/, ''));
    if (!isObject(value)) throw new Error('It is not an object.');
    stored = value;
  } catch (error) {
    return {
      settings: defaults,
      problem: settingsProblem(`The settings were not valid JSON${keepAside(path)}.`, error),
    };
  }
  const wrong = (settingsSchema.safeParse(stored).error?.issues ?? []).map(({ path: at }) => at.map(String));
  for (const at of wrong) remove(stored, at);
  const names = wrong.map((at) => at.join('.')).join(', ');
  const problem = names === '' ? null : settingsProblem(`These settings were not valid: ${names}.`, null);
  return { settings: settingsSchema.parse(stored), problem };
}

type Json = Record<string, unknown>;

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** @returns where the file is now, as the end of a sentence; nothing if it cannot be moved */
function keepAside(path: string): string {
  const kept = `${path}.invalid`;
  try {
    renameSync(path, kept);
    return ` and are kept in ${kept}`;
  } catch {
    return '';
  }
}

/** @param at the way to a field, through objects */
function remove(object: Json, [field = '', ...rest]: string[]): void {
  const value = object[field];
  if (rest.length > 0 && isObject(value)) remove(value, rest);
  else delete object[field];
}

function settingsProblem(message: string, error: unknown): ErrorInfo {
  const detail = error instanceof Error ? { detail: error.message } : {};
  return { code: 'IO_ERROR', message, hint: 'Their defaults are used.', ...detail };
}
