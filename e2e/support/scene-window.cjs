// A window on the page of scripted scenes (renderer/testing), and nothing of the app's main process.
const { join } = require('node:path');
const { pathToFileURL } = require('node:url');
const { app, BrowserWindow, net, protocol } = require('electron');

const folder = process.env.OUTPOST_SCENES;
app.setPath('userData', process.env.OUTPOST_USER_DATA);
protocol.registerSchemesAsPrivileged([{ scheme: 'scene', privileges: { standard: true, secure: true } }]);
app.whenReady().then(() => {
  protocol.handle('scene', ({ url }) => net.fetch(pathToFileURL(join(folder, new URL(url).pathname)).href));
  return new BrowserWindow({ width: 1280, height: 860 }).loadURL('scene://page/testing/index.html');
});
