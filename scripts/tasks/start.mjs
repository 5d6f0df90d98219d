// `npm start [-- FOLDER]`: prepares everything and opens the app.
import { spawn } from 'node:child_process';
import { resolve } from 'node:path';
import { hasDisplay, sandboxArguments, virtualDisplay } from '../lib/display.mjs';
import { root, SetupError } from '../lib/process.mjs';
import { prepare } from './build.mjs';

/** @param {string[]} words a folder to open */
export async function start(words) {
  const { electron, model } = await prepare();
  console.log(`• Electron ${electron.version}`);
  const sandbox = sandboxArguments();
  if (sandbox.length > 0)
    console.log('• Running as root: Chromium starts without its sandbox. Use an ordinary account for daily work.');
  if (!hasDisplay())
    console.log('• There is no display: the window opens on a virtual one (Xvfb) and cannot be seen. Ctrl-C ends it.');

  const folders = words.map((word) => resolve(process.env.INIT_CWD ?? root, word));
  const command = [...(hasDisplay() ? [] : virtualDisplay), electron.program, ...sandbox, root, ...folders];
  const [program = '', ...args] = command;
  const env = { ...process.env, OUTPOST_DEFAULT_MODEL: model };
  const child = spawn(program, args, { stdio: 'inherit', env });
  for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM'])) process.on(signal, () => child.kill(signal));
  const code = await new Promise((done) => {
    child.on('error', (error) => done(error));
    child.on('close', (exitCode) => done(exitCode ?? 0));
  });
  if (code instanceof Error) throw new SetupError(`Electron cannot be started: ${code.message}.`);
  process.exitCode = code;
}
