import { expect, it } from 'vitest';
import { settingsSchema } from '../../../electron/common/settings.ts';
import { bind } from './key-bindings.ts';
import { parseSettings } from './settings-json.ts';

const command = (id: string, usual: string | null) => ({ id, title: id, usual, accelerator: usual });
const commands = [command('a', 'Ctrl+A'), command('b', 'Ctrl+B'), command('c', null)];

it('gives a key to one command, and says which one lost it', () => {
  const first = bind(commands, {}, 'c', 'Ctrl+A');
  expect(first.keys).toEqual({ c: 'Ctrl+A', a: null });
  expect(first.lost?.id).toBe('a');
  const back = bind(commands, first.keys, 'a', 'Ctrl+A');
  expect(back.lost?.id).toBe('c');
  expect(back.keys).toEqual({});
  expect(bind(commands, {}, 'b', null)).toEqual({ keys: { b: null }, lost: null });
});

it('takes settings as JSON, or says what is wrong and where', () => {
  const settings = settingsSchema.parse({ theme: 'dark', keys: { 'file.save': 'CmdOrCtrl+Alt+S', 'tab.close': null } });
  expect(parseSettings(JSON.stringify(settings))).toEqual({ settings });
  expect(parseSettings('{}')).toEqual({ settings: settingsSchema.parse({}) });
  expect(parseSettings('{')).toMatchObject({ problem: expect.stringContaining('not JSON') });
  expect(parseSettings('{"sampler": {"topP": 3}}')).toMatchObject({ problem: expect.stringContaining('sampler.topP') });
  expect(parseSettings('{"tehme": "dark"}')).toMatchObject({ problem: expect.stringContaining('tehme') });
  expect(parseSettings('{"keys": {"file.save": "S"}}')).toMatchObject({
    problem: expect.stringContaining('file.save'),
  });
});
