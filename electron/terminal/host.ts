// Entry of the terminal process: serves shells on the ports that main hands over. The process itself has no network, as
// the others; the shells that it starts are the user's and do.
import { spawn } from '@lydell/node-pty';
import type { NetworkAttempt } from '../common/connections.ts';
import { serveParentPorts } from '../common/serve.ts';
import { sealNetwork } from '../network/seal.ts';
import { userShell } from './shell.ts';
import { Terminals } from './terminals.ts';

sealNetwork((target) => {
  const attempt: NetworkAttempt = { type: 'network-attempt', target };
  process.parentPort.postMessage(attempt);
});
const terminals = new Terminals(
  (program, args, options) => spawn(program, args, options),
  userShell(process.env, process.platform),
  process.env,
);
serveParentPorts(process.parentPort, { renderer: terminals.router(), main: terminals.controlRouter() });
