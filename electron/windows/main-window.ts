// The window: sandboxed, remembers its place, and closes only when everything typed is safe.
import { BrowserWindow, nativeTheme, type Rectangle, screen } from 'electron';
import { appOrigin } from './app-protocol.ts';

export interface WindowPlace extends Rectangle {
  isMaximized: boolean;
}

export interface MainWindowOptions {
  zoomPercent: () => number;
  place: WindowPlace | null;
  /** Asks the page to bring everything typed to safety; resolves when it has, or rejects if it cannot. */
  onClosing: () => Promise<void>;
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
  window.on('close', (event) => {
    options.onClosed({ ...window.getNormalBounds(), isMaximized: window.isMaximized() });
    if (isSafe || window.webContents.isCrashed()) return;
    event.preventDefault();
    void withTimeout(options.onClosing(), flushMs)
      .then(() => {
        isSafe = true;
        window.close();
      })
      .catch(() => {}); // The page has said why it cannot; the window stays.
  });
  window.webContents.on('render-process-gone', (_event, { reason }) => {
    if (reason !== 'clean-exit') options.onPageGone(reason);
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

/** Resolves with `promise`, or after `ms` without it. */
async function withTimeout(promise: Promise<void>, ms: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  await Promise.race([promise, timeout]).finally(() => clearTimeout(timer));
}
