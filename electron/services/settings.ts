// The user's settings: a JSON file that may be edited by hand, and may be wrong in places.
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
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
  let stored: Record<string, unknown>;
  try {
    stored = { ...JSON.parse(text) };
  } catch (error) {
    const kept = `${path}.invalid`;
    renameSync(path, kept);
    return {
      settings: defaults,
      problem: settingsProblem(`The settings were not valid JSON and are kept in ${kept}.`, error),
    };
  }
  const wrong = (settingsSchema.safeParse(stored).error?.issues ?? []).map(({ path: at }) => String(at[0]));
  for (const field of wrong) delete stored[field];
  const problem =
    wrong.length > 0 ? settingsProblem(`These settings were not valid: ${wrong.join(', ')}.`, null) : null;
  return { settings: settingsSchema.parse(stored), problem };
}

function settingsProblem(message: string, error: unknown): ErrorInfo {
  const detail = error instanceof Error ? { detail: error.message } : {};
  return { code: 'IO_ERROR', message, hint: 'Their defaults are used.', ...detail };
}
