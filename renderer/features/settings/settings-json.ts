// Settings as text: what is wrong with one, or the settings that it means.
import { type Settings, settingsSchema } from '../../../electron/common/settings.ts';

/** @return the settings, or a sentence that says what is wrong, and where */
export function parseSettings(text: string): { settings: Settings } | { problem: string } {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return { problem: `This is not JSON: ${(error as Error).message}` };
  }
  // Strict: a name that is misspelt would do nothing, silently.
  const parsed = settingsSchema.strict().safeParse(value);
  if (parsed.success) return { settings: parsed.data };
  const [issue] = parsed.error.issues;
  const at = issue?.path.join('.') ?? '';
  return { problem: at === '' ? `${issue?.message}.` : `${at}: ${issue?.message}.` };
}
