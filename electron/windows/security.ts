// What pages may never do, whatever they contain: leave, open windows, ask for devices, reach the network.
import { app, type Session } from 'electron';
import { appOrigin } from './app-protocol.ts';

/** For every page that this app will ever make. */
export function denyEverythingElse(): void {
  app.on('web-contents-created', (_event, contents) => {
    contents.on('will-navigate', (event) => event.preventDefault());
    contents.on('will-redirect', (event) => event.preventDefault());
    contents.on('will-attach-webview', (event) => event.preventDefault());
    contents.setWindowOpenHandler(() => ({ action: 'deny' }));
  });
}

/** Permissions, downloads and every request that is not for our own scheme. */
/** @param onBlocked gets the address of every request that was stopped */
export function lockSession(session: Session, onBlocked: (url: string) => void): void {
  session.setPermissionRequestHandler((_contents, _permission, answer) => answer(false));
  session.setPermissionCheckHandler(() => false);
  session.setDevicePermissionHandler(() => false);
  session.on('will-download', (event) => event.preventDefault());
  session.setSpellCheckerEnabled(false); // its dictionaries come from the network
  session.webRequest.onBeforeRequest(({ url }, answer) => {
    const isOwn = url.startsWith(`${appOrigin}/`) || url.startsWith('data:') || url.startsWith('devtools:');
    if (!isOwn) onBlocked(url);
    answer({ cancel: !isOwn });
  });
}
