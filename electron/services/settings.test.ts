import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { settingsPatchSchema, settingsSchema } from '../common/settings.ts';
import { asOrdinaryUser, temporaryFolder } from '../testing/temporary-folder.ts';
import { SettingsFile } from './settings.ts';

const defaults = settingsSchema.parse({});

function settingsAt(content: string | null): { path: string; file: SettingsFile } {
  const path = join(temporaryFolder(), 'settings.json');
  if (content !== null) writeFileSync(path, content);
  return { path, file: new SettingsFile(path) };
}

it('starts with the defaults, and without a complaint, where there is no file yet', () => {
  const { path, file } = settingsAt(null);
  expect(file.current).toEqual(defaults);
  expect(file.problem).toBeNull();
  expect(existsSync(path)).toBe(false);
});

it('keeps what was changed for the next start', () => {
  const { path, file } = settingsAt(null);
  expect(file.update({ theme: 'dark', nThreads: 3 })).toEqual({ ...defaults, theme: 'dark', nThreads: 3 });
  expect(new SettingsFile(path).current).toEqual({ ...defaults, theme: 'dark', nThreads: 3 });
  expect(new SettingsFile(path).problem).toBeNull();
});

it('takes fields that are absent from a file from the defaults', () => {
  const { file } = settingsAt('{"editorFontSize": 20, "sampler": {"topK": 1}}');
  expect(file.current).toEqual({ ...defaults, editorFontSize: 20, sampler: { ...defaults.sampler, topK: 1 } });
  expect(file.problem).toBeNull();
});

it('changes only what a patch names', () => {
  const { file } = settingsAt('{"modelPath": "/m.gguf", "editorFontSize": 20, "sampler": {"topK": 1}}');
  const before = file.current;
  const updated = file.update(settingsPatchSchema.parse({ theme: 'light' }));
  expect(updated).toEqual({ ...before, theme: 'light' });
});

it('refuses a patch with a value that is out of range', () => {
  for (const patch of [{ theme: 'pink' }, { nThreads: -1 }, { nCtx: 1.5 }, { sampler: { topP: 0 } }]) {
    expect(settingsPatchSchema.safeParse(patch).success, JSON.stringify(patch)).toBe(false);
  }
});

it('keeps a file that is not valid JSON beside the new one', () => {
  const { path, file } = settingsAt('{"theme": "dark",,}');
  expect(file.current).toEqual(defaults);
  expect(file.problem).toMatchObject({ code: 'IO_ERROR', message: expect.stringContaining(`${path}.invalid`) });
  expect(readFileSync(`${path}.invalid`, 'utf8')).toBe('{"theme": "dark",,}');
});

it('keeps JSON that is no object beside, too', () => {
  for (const content of ['null', '[1, 2]', '"dark"', '7']) {
    const { path, file } = settingsAt(content);
    expect(file.current).toEqual(defaults);
    expect(file.problem, content).not.toBeNull();
    expect(readFileSync(`${path}.invalid`, 'utf8')).toBe(content);
  }
});

it('starts although a broken file cannot be kept beside', () => {
  const folder = temporaryFolder({ 'settings.json': 'not JSON', 'settings.json.invalid/in-the-way': '' });
  const file = new SettingsFile(join(folder, 'settings.json'));
  expect(file.current).toEqual(defaults);
  expect(file.problem).toMatchObject({ code: 'IO_ERROR' });
  expect(readFileSync(join(folder, 'settings.json'), 'utf8')).toBe('not JSON');
});

it('reads a file that an editor saved with a byte order mark', () => {
  const { file } = settingsAt('\uFEFF{"theme": "dark"}');
  expect(file.current.theme).toBe('dark');
  expect(file.problem).toBeNull();
});

it('drops one bad field, says which, and keeps the others', () => {
  const { file } = settingsAt('{"theme": "pink", "editorFontSize": 20, "sampler": {"topK": 5, "topP": 7}}');
  expect(file.current).toEqual({ ...defaults, editorFontSize: 20, sampler: { ...defaults.sampler, topK: 5 } });
  expect(file.problem?.message).toBe('These settings were not valid: theme, sampler.topP.');
});

it('drops a field of the wrong type as a whole', () => {
  const { file } = settingsAt('{"sampler": "hot", "nCtx": 2048, "unknown": 1}');
  expect(file.current).toEqual({ ...defaults, nCtx: 2048 });
  expect(file.problem?.message).toContain('sampler');
});

it('says so when the file cannot be read, and uses the defaults', () => {
  const folder = temporaryFolder({ 'settings.json/': '' });
  const file = new SettingsFile(join(folder, 'settings.json'));
  expect(file.current).toEqual(defaults);
  expect(file.problem).toMatchObject({ message: expect.stringContaining('cannot be read') });
});

it('is as before when a change cannot be written', async () => {
  const folder = temporaryFolder({ 'data/settings.json': '{"theme": "dark"}' });
  const path = join(folder, 'data', 'settings.json');
  const file = new SettingsFile(path);
  chmodSync(join(folder, 'data'), 0o555);
  await asOrdinaryUser(folder, async () => {
    expect(() => file.update({ theme: 'light' })).toThrow(expect.objectContaining({ code: 'IO_ERROR' }));
  });
  expect(file.current.theme).toBe('dark');
  expect(readFileSync(path, 'utf8')).toBe('{"theme": "dark"}');
  chmodSync(join(folder, 'data'), 0o755);
});

it('leaves no half-written file behind when the last step fails', () => {
  const folder = temporaryFolder();
  const path = join(folder, 'settings.json');
  const file = new SettingsFile(path);
  mkdirSync(join(path, 'in-the-way'), { recursive: true });
  expect(() => file.update({ theme: 'light' })).toThrow(expect.objectContaining({ code: 'IO_ERROR' }));
  expect(existsSync(`${path}.tmp`)).toBe(false);
});
