// Entry of the workspace process: serves the open folder on the ports that main hands over.
import { join } from 'node:path';
import type { NetworkAttempt } from '../common/connections.ts';
import { giveWayToTheWindow } from '../common/give-way.ts';
import { serveParentPorts } from '../common/serve.ts';
import { sealNetwork } from '../network/seal.ts';
import { Workspace } from './workspace.ts';

giveWayToTheWindow();
sealNetwork((target) => {
  const attempt: NetworkAttempt = { type: 'network-attempt', target };
  process.parentPort.postMessage(attempt);
});
const workspace = new Workspace(join(import.meta.dirname, process.platform === 'win32' ? 'rg.exe' : 'rg'));
serveParentPorts(process.parentPort, { renderer: workspace.router(), main: workspace.controlRouter() });
