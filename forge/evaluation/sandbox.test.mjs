import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { capture } from '../../scripts/lib/process.mjs';
import { findSandbox, passes } from './sandbox.mjs';

const sandbox = await findSandbox().catch(() => null);

it.skipIf(sandbox === null)(
  'tells programs that pass from those that fail, and keeps both to their limits',
  async () => {
    const command = sandbox?.command ?? [];
    const results = await Promise.all(
      [
        'import math\nassert math.sqrt(4) == 2\n',
        'import re, collections, itertools, string, hashlib, datetime, random, heapq, typing\n',
        'assert 1 + 1 == 3\n',
        'def f(:\n',
        "open('left-behind', 'w').write('x')\n",
        "import os\nos.system('true')\n",
        "import subprocess\nsubprocess.run(['true'])\n",
        'x = bytearray(2 << 30)\n',
        'import sys, io\nprint("words")\nsys.stdout = io.StringIO()\n',
        'import sys\nsys.exit()\nassert False\n',
        'import os\nos._exit(0)\nassert False\n',
      ].map((program) => passes(command, program)),
    );
    expect(results).toEqual([true, true, false, false, false, false, false, false, true, false, false]);
  },
);

it.skipIf(sandbox === null)('lets no program write a file, whatever it opens it with', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'outpost-sandbox-test-'));
  const path = join(folder, 'kept');
  await writeFile(path, 'text');
  const name = JSON.stringify(path);
  const open = (/** @type {string} */ flags) =>
    passes(sandbox?.command ?? [], `import os\nos.open(${name}, ${flags})\n`);
  expect(await open('os.O_RDONLY')).toBe(true);
  expect(await open('os.O_WRONLY | os.O_TRUNC')).toBe(false);
  expect(await open('os.O_RDONLY | os.O_TRUNC')).toBe(false);
  expect(await open('os.O_RDWR')).toBe(false);
  expect(await passes(sandbox?.command ?? [], `open(${name} + '2', 'x')\n`)).toBe(false);
  expect(await readFile(path, 'utf8')).toBe('text');
  await rm(folder, { recursive: true });
});

it.skipIf(sandbox === null || sandbox.hasNetwork)('reaches no network, whatever its code does', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  const connect = `import socket\nsocket.create_connection(('127.0.0.1', ${port}), 5)\n`;
  // By a Python without our limits in the same namespace: it is the system that refuses.
  const words = sandbox?.command ?? [];
  const bare = [...words.slice(0, words.indexOf('-I')), '-c', connect];
  const [name = '', ...rest] = bare;
  await expect(capture(name, rest)).rejects.toThrow(/exit code 1/);
  await capture(bare.at(-3) ?? '', ['-c', connect]);
  server.close();
});
