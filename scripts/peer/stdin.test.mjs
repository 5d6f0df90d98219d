import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { expect, it } from 'vitest';

it('puts a character together that arrives in two chunks', async () => {
  const program = `import { readStdin } from './stdin.mjs'; process.stderr.write('ready'); console.log(await readStdin());`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], { cwd: import.meta.dirname });
  const output = text(child.stdout);
  await new Promise((ready) => child.stderr.once('data', ready));
  const bytes = Buffer.from('né');
  child.stdin.write(bytes.subarray(0, 2));
  await new Promise((pause) => setTimeout(pause, 100)); // so that the halves are read one by one
  child.stdin.end(bytes.subarray(2));
  expect(await output).toBe('né\n');
});
