// Entry of the engine process: the one process that loads the native engine.
import type { NetworkAttempt } from '../common/connections.ts';
import { serveParentPorts } from '../common/serve.ts';
import { sealNetwork } from '../network/seal.ts';
import { loadAddon } from './addon.ts';
import { EngineService } from './engine-service.ts';

sealNetwork((target) => {
  const attempt: NetworkAttempt = { type: 'network-attempt', target };
  process.parentPort.postMessage(attempt);
});
const service = new EngineService(loadAddon());
serveParentPorts(process.parentPort, { renderer: service.router(), main: service.controlRouter() });
