// Entry of the workspace process: serves the open folder on the ports that main hands over.
import { join } from 'node:path';
import { serveParentPorts } from '../common/serve.ts';
import { Workspace } from './workspace.ts';

const workspace = new Workspace(join(import.meta.dirname, process.platform === 'win32' ? 'rg.exe' : 'rg'));
serveParentPorts(process.parentPort, { renderer: workspace.router(), main: workspace.controlRouter() });
