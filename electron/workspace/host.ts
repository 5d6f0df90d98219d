// Entry of the workspace process: serves the open folder on the ports that main hands over.
import { serveParentPorts } from '../common/serve.ts';
import { Workspace } from './workspace.ts';

const workspace = new Workspace();
serveParentPorts(process.parentPort, { renderer: workspace.router(), main: workspace.controlRouter() });
