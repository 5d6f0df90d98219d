// Runs sandboxed before the page. The page's MessagePorts, which cannot cross the context bridge, are posted to the
// page's own window; and the page may ask where a file is that the user dropped into it.
import { contextBridge, ipcRenderer, webUtils } from 'electron';
import { ipcChannels, type PortMessage, type PortName, readyEvent } from '../common/ports.ts';

window.addEventListener(readyEvent, () => ipcRenderer.send(ipcChannels.portsRequest));

ipcRenderer.on(ipcChannels.portsDeliver, (event, name: PortName) => {
  const message: PortMessage = { type: 'outpost:port', name };
  window.postMessage(message, window.location.origin, [...event.ports]);
});

contextBridge.exposeInMainWorld('outpostFiles', { pathOf: (file: File) => webUtils.getPathForFile(file) });
