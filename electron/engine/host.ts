// Entry of the engine process: the one process that loads the native engine.
import type { NetworkAttempt } from '../common/connections.ts';
import { watchForDeviceLoss } from '../common/device-loss.ts';
import { giveWayToTheWindow } from '../common/give-way.ts';
import { serveParentPorts } from '../common/serve.ts';
import { sealNetwork } from '../network/seal.ts';
import { loadAddon } from './addon.ts';
import { EngineService } from './engine-service.ts';

// Before it has threads: those of the engine are made by this one, and are like it.
giveWayToTheWindow();
sealNetwork((target) => {
  const attempt: NetworkAttempt = { type: 'network-attempt', target };
  process.parentPort.postMessage(attempt);
});
const onFailure = watchForDeviceLoss((loss) => process.parentPort.postMessage(loss));
const service = new EngineService(loadAddon(), { onLoadFailed: onFailure });
serveParentPorts(process.parentPort, { renderer: service.router(), main: service.controlRouter() }, onFailure);
