// Entry of the engine process: the one process that loads the native engine.
import { serveParentPorts } from '../common/serve.ts';
import { loadAddon } from './addon.ts';
import { EngineService } from './engine-service.ts';

const service = new EngineService(loadAddon());
serveParentPorts(process.parentPort, { renderer: service.router(), main: service.controlRouter() });
