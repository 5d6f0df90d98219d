// What `npm run test:model` hands to the test files.
import { SetupError } from '../lib/process.mjs';

/** @param {string} name */
function required(name) {
  const value = process.env[name];
  if (value === undefined) throw new SetupError(`${name} is not set.`, 'Run these tests by: npm run test:model');
  return value;
}

/** @type {import('../lib/engine-cli.mjs').EngineCli} */
export const engine = { program: required('OUTPOST_ENGINE'), model: required('OUTPOST_DEFAULT_MODEL') };

/** False, or why the tests that ask llama.cpp itself are skipped. */
export const skipWithoutPeer =
  process.env.OUTPOST_HAS_PEER === '1' ? false : 'no build of llama.cpp is pinned for this platform';
