// Entry of the app. The window comes first: its process starts and reads its scripts while this one loads what the window
// will talk to, which is by far the larger part (app.ts).
import { mkdirSync } from 'node:fs';
import { enableCompileCache, flushCompileCache } from 'node:module';
import { join, resolve } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { app, dialog, Menu, session } from 'electron';
import type { StartedApp } from './app.ts';
import { PortBroker } from './ipc/port-broker.ts';
import { appOrigin, registerAppScheme, serveApp } from './windows/app-protocol.ts';
import { openMainWindow } from './windows/main-window.ts';
import { denyEverythingElse, lockSession } from './windows/security.ts';

const bundle = import.meta.dirname;

/** A page that has not asked for its ports by then has trouble of its own; the app is loaded all the same. */
const kLongestWaitMs = 1000;

const started = Promise.withResolvers<StartedApp>();

async function start(): Promise<void> {
  mkdirSync(app.getPath('userData'), { recursive: true });
  serveApp(join(bundle, 'renderer'));
  lockSession(session.defaultSession, (url) => void started.promise.then((app) => app.requestBlocked(url)));
  const preload = join(bundle, 'preload.cjs');
  const opened = openMainWindow(preload);
  const broker = new PortBroker(appOrigin);
  broker.setWindow(opened.window);
  enableCompileCache(join(app.getPath('userData'), 'Compile Cache'));
  // What app.ts is built on, while the window's process comes up.
  await import('./common/serve.ts');
  // The rest when the page has all its scripts, which come from this process: the page runs them meanwhile.
  await Promise.race([broker.isAsked, setTimeout(kLongestWaitMs)]);
  const { startApp } = await import('./app.ts');
  started.resolve(await startApp({ bundle, preload, opened, broker, onStarted: flushCompileCache }));
}

if (process.env.OUTPOST_USER_DATA) app.setPath('userData', resolve(process.env.OUTPOST_USER_DATA));
if (app.requestSingleInstanceLock()) {
  app.on('second-instance', (_event, args, cwd) => void started.promise.then((app) => app.startedAgain(args, cwd)));
  registerAppScheme();
  // Electron would build one of its own.
  Menu.setApplicationMenu(null);
  // The superuser can only run without Chromium's sandbox, and must have said so.
  if (!app.commandLine.hasSwitch('no-sandbox')) app.enableSandbox();
  denyEverythingElse();
  app
    .whenReady()
    .then(start)
    .catch((error: unknown) => {
      dialog.showErrorBox('Outpost cannot start', error instanceof Error ? error.message : String(error));
      app.exit(1);
    });
} else {
  app.quit();
}
