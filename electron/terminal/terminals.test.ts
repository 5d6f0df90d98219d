import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { spawn } from '@lydell/node-pty';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { type TerminalEvent, terminalContract, terminalControlContract } from '../common/terminal-contract.ts';
import { connect } from '../testing/connect.ts';
import { shellEnvironment, userShell } from './shell.ts';
import { type Pty, type SpawnPty, Terminals } from './terminals.ts';

const sh = { program: '/bin/sh', args: [], title: 'sh' };
const size = { columns: 80, rows: 24 };

function served(spawnPty: SpawnPty, shell = sh) {
  const terminals = new Terminals(spawnPty, shell, { PATH: process.env.PATH, OUTPOST_SECRET: 'x', PS1: '$ ' });
  const { client } = connect(terminalContract, terminals.router());
  const { client: control } = connect(terminalControlContract, terminals.controlRouter());
  return { client, control };
}

async function idOf(stream: AsyncIterator<TerminalEvent>): Promise<number> {
  const { value } = await stream.next();
  if (value?.type !== 'started') throw new Error('The terminal did not start.');
  return value.id;
}

async function readUntil(stream: AsyncIterator<TerminalEvent>, pattern: RegExp): Promise<string> {
  let text = '';
  for (;;) {
    const { value, done } = await stream.next();
    if (done || value.type === 'ended') throw new Error(`The shell ended after: ${text}`);
    if (value.type === 'output') text += value.text;
    if (pattern.test(text)) return text;
  }
}

describe.skipIf(process.platform === 'win32')('a real shell', () => {
  it('runs in the open folder, knows its size, and ends with its exit code', async () => {
    const folder = realpathSync(mkdtempSync(join(tmpdir(), 'outpost-terminal-')));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const { client, control } = served(spawn);
    await control.setRoot({ root: folder });
    const stream = await client.open(size);
    const id = await idOf(stream);
    await client.write({ id, text: 'pwd; stty size; echo "secret=$OUTPOST_SECRET."\n' });
    const text = await readUntil(stream, /secret=\.\r/);
    expect(text).toContain(folder);
    expect(text).toContain('24 80');
    await client.resize({ id, columns: 100, rows: 30 });
    await client.write({ id, text: 'stty size\n' });
    await readUntil(stream, /30 100/);
    await client.write({ id, text: 'exit 7\n' });
    let last: TerminalEvent | undefined;
    for await (const event of stream) last = event;
    expect(last).toEqual({ type: 'ended', exitCode: 7 });
    await expect(client.write({ id, text: 'x' })).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  it('ends when nobody reads it any more', async () => {
    const { client } = served(spawn);
    const stream = await client.open(size);
    const id = await idOf(stream);
    await client.write({ id, text: 'echo pid=$$.\n' });
    const pid = Number(/pid=(\d+)\./.exec(await readUntil(stream, /pid=\d+\./))?.[1]);
    expect(() => process.kill(pid, 0)).not.toThrow();
    await stream.return?.();
    await vi.waitFor(() => expect(() => process.kill(pid, 0)).toThrow(), { timeout: 10_000 });
  });
});

describe('a scripted shell', () => {
  function scripted() {
    let say = (_text: string) => {};
    const pty = {
      onData: (listener: (text: string) => void) => {
        say = listener;
      },
      onExit: () => {},
      write: vi.fn(),
      resize: vi.fn(),
      pause: vi.fn(),
      resume: vi.fn(),
      kill: vi.fn(),
    } satisfies Pty;
    return { pty, say: (text: string) => say(text) };
  }

  it('waits when it is far ahead of its screen', async () => {
    const { pty, say } = scripted();
    const { client } = served(() => pty);
    const stream = await client.open(size);
    const id = await idOf(stream);
    for (let i = 0; i < 9; i++) say('x'.repeat(50_000));
    expect(pty.pause).toHaveBeenCalledTimes(1);
    await client.drawn({ id, nChars: 100_000 });
    expect(pty.resume).not.toHaveBeenCalled();
    await client.drawn({ id, nChars: 300_000 });
    expect(pty.resume).toHaveBeenCalledTimes(1);
    await stream.return?.();
  });

  it('says why it could not be started', async () => {
    const { client } = served(() => {
      throw new Error('no such file');
    });
    const stream = await client.open(size);
    await expect(stream.next()).rejects.toMatchObject({ code: 'TERMINAL_FAILED', data: { detail: 'no such file' } });
  });
});

it('is the shell of the user, without the variables that are ours', () => {
  expect(userShell({ SHELL: '/usr/bin/fish' }, 'linux')).toEqual({ program: '/usr/bin/fish', args: [], title: 'fish' });
  expect(userShell({}, 'linux', null).program).toBe('/bin/sh');
  expect(userShell({ SHELL: '/bin/zsh' }, 'darwin').args).toEqual(['-l']);
  expect(userShell({ COMSPEC: 'C:\\cmd.exe' }, 'win32').program).toBe('C:\\cmd.exe');
  expect(shellEnvironment({ HOME: '/h', OUTPOST_X: '1', ELECTRON_RUN_AS_NODE: '1', NONE: undefined })).toEqual({
    HOME: '/h',
    TERM: 'xterm-256color',
    COLORTERM: 'truecolor',
    TERM_PROGRAM: 'Outpost',
  });
});
