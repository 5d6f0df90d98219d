// The window: sandboxed, remembers its place, and closes only when everything typed is safe.
import { BrowserWindow, nativeTheme, type Rectangle, screen } from 'electron';
import type { ErrorInfo } from '../common/errors.ts';
import { appOrigin } from './app-protocol.ts';

export interface WindowPlace extends Rectangle {
  isMaximized: boolean;
}

export interface MainWindowOptions {
  zoomPercent: () => number;
  place: WindowPlace | null;
  /** Asks the page to bring everything typed to safety; resolves when it has, or with why it cannot. */
  onClosing: () => Promise<ErrorInfo | null>;
  /** Asks the user, who may take his time. @returns whether the window closes although text is lost */
  onUnsafe: (problem: ErrorInfo) => Promise<boolean>;
  onClosed: (place: WindowPlace) => void;
  /** The page died: show it anew. Backups bring its text back. */
  onPageGone: (reason: string) => void;
}

/** How long a page may take to flush before the window closes without it: a page that hangs must not keep it open. */
const flushMs = 10_000;

export interface OpenedWindow {
  window: BrowserWindow;
  /** Its page has something to show. */
  hasPicture: Promise<void>;
}

/** A window that loads its page, not to be seen before `keepMainWindow` knows where. */
export function openMainWindow(preload: string): OpenedWindow {
  const window = new BrowserWindow({
    width: 1360,
    height: 860,
    minWidth: 640,
    minHeight: 400,
    show: false,
    title: 'Outpost',
    backgroundColor: nativeTheme.shouldUseDarkColors ? '#16181d' : '#ffffff',
    autoHideMenuBar: true,
    webPreferences: {
      preload,
      sandbox: true,
      contextIsolation: true,
      nodeIntegration: false,
      webSecurity: true,
      spellcheck: false,
      v8CacheOptions: 'bypassHeatCheck',
    },
  });
  const hasPicture = new Promise<void>((resolve) => window.once('ready-to-show', () => resolve()));
  void window.loadURL(`${appOrigin}/index.html`);
  return { window, hasPicture };
}

export function keepMainWindow({ window, hasPicture }: OpenedWindow, options: MainWindowOptions): void {
  const { place } = options;
  if (place) window.setBounds(visiblePlace(place));
  void hasPicture.then(() => {
    if (window.isDestroyed()) return;
    if (place?.isMaximized) window.maximize();
    window.show();
  });
  const zoom = () => {
    const factor = options.zoomPercent() / 100;
    if (factor !== 1) window.webContents.setZoomFactor(factor);
  };
  zoom();
  // Chromium forgets it with every load.
  window.webContents.on('did-finish-load', zoom);

  let isSafe = false;
  let isAsking = false;
  window.on('close', (event) => {
    options.onClosed({ ...window.getNormalBounds(), isMaximized: window.isMaximized() });
    if (isSafe || window.webContents.isCrashed()) return;
    event.preventDefault();
    if (isAsking) return;
    isAsking = true;
    void mayClose(options)
      .catch(() => false) // the user could not be asked
      .then((may) => {
        if (window.isDestroyed()) return;
        isSafe = may;
        if (may) window.close();
      })
      .finally(() => {
        isAsking = false;
      });
  });
  window.webContents.on('render-process-gone', (_event, { reason }) => {
    // Not in the event itself: Chromium ends the whole app if a page is loaded while it buries the process of the last one.
    if (reason !== 'clean-exit') setImmediate(() => !window.isDestroyed() && options.onPageGone(reason));
  });
}

/** The last place, unless that screen is gone. */
function visiblePlace(place: WindowPlace): Partial<Rectangle> {
  const { workArea } = screen.getDisplayMatching(place);
  const isVisible =
    place.x < workArea.x + workArea.width - 100 &&
    place.x + place.width > workArea.x + 100 &&
    place.y >= workArea.y - 10 &&
    place.y < workArea.y + workArea.height - 100;
  const { x, y, width, height } = place;
  return isVisible ? { x, y, width, height } : { width, height };
}

async function mayClose({ onClosing, onUnsafe }: MainWindowOptions): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<null>((resolve) => {
    timer = setTimeout(() => resolve(null), flushMs);
  });
  const problem = await Promise.race([onClosing(), timeout]).finally(() => clearTimeout(timer));
  return problem === null || onUnsafe(problem);
}
