// What main serves to the window: builds the services, starts the processes, keeps the window. Nothing here decides
// anything that a module below could decide.
import { statSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { app, type BrowserWindow, dialog, powerMonitor, safeStorage, session } from 'electron';
import type { ProcessState } from './common/app-contract.ts';
import { toErrorInfo } from './common/error-info.ts';
import type { ErrorInfo } from './common/errors.ts';
import { serve } from './common/serve.ts';
import { AppEvents } from './ipc/app-events.ts';
import { createAppRouter, openWorkspace } from './ipc/app-router.ts';
import type { PortBroker } from './ipc/port-broker.ts';
import { sealNetwork } from './network/seal.ts';
import { Conversations } from './services/conversations.ts';
import { openDatabase } from './services/database.ts';
import { EngineProcess } from './services/engine-process.ts';
import { ElectronHttp } from './services/models/electron-http.ts';
import { HubToken } from './services/models/hub-token.ts';
import { ModelsService } from './services/models/models-service.ts';
import { NetworkLedger } from './services/network-ledger.ts';
import { SettingsFile } from './services/settings.ts';
import { TerminalProcess } from './services/terminal-process.ts';
import { WindowPlaces } from './services/window-places.ts';
import { WorkspaceProcess } from './services/workspace-process.ts';
import { Workspaces } from './services/workspaces.ts';
import { keepMainWindow, type OpenedWindow, openMainWindow } from './windows/main-window.ts';
import { setApplicationMenu } from './windows/menu.ts';
import { PageDeaths } from './windows/page-deaths.ts';

/** What is there before this module is. */
interface AppStart {
  /** The folder of the bundles. */
  bundle: string;
  preload: string;
  /** It loads its page already, and its page may ask for its ports already. */
  opened: OpenedWindow;
  broker: PortBroker;
  /** The window is there, and so is everything that it talks to. */
  onStarted: () => void;
}

/** The folder of the command line, if there is one. Chromium's switches and the app's own path are in it, too. */
function folderArgument(args: readonly string[], cwd: string): string | null {
  const paths = args.slice(1).filter((arg) => !arg.startsWith('-'));
  const folders = paths.map((path) => resolve(cwd, path)).filter((path) => path !== resolve(app.getAppPath()));
  return folders.find((path) => statSync(path, { throwIfNoEntry: false })?.isDirectory()) ?? null;
}

/** What hears of events that come to main before it as well. */
export interface StartedApp {
  /** A request of the window was stopped. */
  requestBlocked: (url: string) => void;
  /** The user started the app while it runs. */
  startedAgain: (args: readonly string[], cwd: string) => void;
}

export async function startApp({ bundle, preload, opened: first, broker, onStarted }: AppStart): Promise<StartedApp> {
  const dataDirectory = app.getPath('userData');
  const events = new AppEvents();
  const settings = new SettingsFile(join(dataDirectory, 'settings.json'));
  const { database, problem } = openDatabase(join(dataDirectory, 'outpost.db'), Date.now());
  for (const found of [settings.problem, problem]) if (found) events.notice(found);
  const workspaces = new Workspaces(database);
  workspaces.setCurrent(folderArgument(process.argv, process.cwd()) ?? (await workspaces.last()));

  const network = new NetworkLedger({
    isAllowed: () => !settings.current.isNetworkOff,
    onConnection: (connection) => events.push({ type: 'connection', connection }),
  });
  sealNetwork((target) => network.blocked('main', target));

  let window: BrowserWindow | null = null;
  let answerClosing: ((problem: ErrorInfo | null) => void) | null = null;

  const places = new WindowPlaces(database);
  const pageDeaths = new PageDeaths();
  const showPageAgain = async (reason: string): Promise<void> => {
    if (window === null) return;
    if (pageDeaths.isOneTooMany(Date.now())) {
      const { response } = await dialog.showMessageBox(window, {
        type: 'error',
        message: `The window stopped again and again (${reason}).`,
        detail: 'Text that was not saved is kept, and is back when the window, or the app, is opened again.',
        buttons: ['Open the Window Again', 'Quit'],
        defaultId: 0,
        cancelId: 1,
      });
      if (response === 1) return app.quit();
    }
    events.notice({
      code: 'INTERNAL',
      message: `The window stopped unexpectedly (${reason}).`,
      hint: 'It was opened again; unsaved text is back.',
    });
    window?.reload();
  };

  const keep = (opened: OpenedWindow): void => {
    keepMainWindow(opened, {
      zoomPercent: () => settings.current.zoomPercent,
      place: places.load(),
      onClosing: () => askPageToFlush(),
      onUnsafe: (found) => askUserToClose(found),
      onClosed: (place) => places.save(place),
      onPageGone: (reason) => void showPageAgain(reason),
    });
    window = opened.window;
    window.on('closed', () => {
      window = null;
    });
  };
  keep(first);

  const processChanged = (process: 'engine' | 'workspace' | 'terminal', state: ProcessState) => {
    if (state.state === 'restarting' || state.state === 'failed') broker.withdraw(process);
    events.push({ type: 'process', process, state });
  };

  const engine = new EngineProcess({
    entry: join(bundle, 'engine-host.js'),
    assignment: () => models.assignmentNow(),
    onState: (state) => processChanged('engine', state),
    onNotice: (notice) => events.notice(notice),
    onStarted: () => {
      broker.deliver('engine');
      models.engineStarted();
    },
    onNetworkAttempt: (target) => network.blocked('engine', target),
  });
  // A session of its own, from the first request on: no cookies, no cache, and none of the window's requests.
  let hubHttp: ElectronHttp | null = null;
  const httpOfModels = () => {
    hubHttp ??= new ElectronHttp(session.fromPartition('models', { cache: false }), process.env);
    return hubHttp;
  };
  const models: ModelsService = new ModelsService({
    dataFolder: dataDirectory,
    settings: () => settings.current,
    root: () => workspaces.current?.root ?? null,
    token: new HubToken(join(dataDirectory, 'hub-token'), safeStorage),
    http: (purpose) => httpOfModels().through(network.gate(purpose)),
    onNotice: (error) => events.notice(error),
    onAssignment: (again) => void engine.load(again),
    selfTest: (spec, signal) => engine.selfTest(spec, signal),
    benchmark: (spec, signal) => engine.benchmark(spec, signal),
    measureSpeeds: (...input) => engine.measureSpeeds(...input),
    gpus: async () => engine.gpus(),
    checkKv: (...input) => engine.checkKv(...input),
    pause: (signal) => engine.pause(signal),
    isOnBattery: () => powerMonitor.isOnBatteryPower(),
    forget: () => engine.forget(),
  });
  const workspace = new WorkspaceProcess({
    entry: join(bundle, 'workspace-host.js'),
    root: () => workspaces.current?.root ?? null,
    onState: (state) => processChanged('workspace', state),
    onStarted: () => broker.deliver('workspace'),
    onNetworkAttempt: (target) => network.blocked('workspace', target),
    onRootLost: (error) => {
      events.notice(toErrorInfo(error));
      void openWorkspace({ workspaces, workspace, models, terminal, events }, null);
    },
  });

  const terminal = new TerminalProcess({
    entry: join(bundle, 'terminal-host.js'),
    root: () => workspaces.current?.root ?? null,
    onState: (state) => processChanged('terminal', state),
    onStarted: () => broker.deliver('terminal'),
    onNetworkAttempt: (target) => network.blocked('terminal', target),
  });

  const choose = async (options: Electron.OpenDialogOptions): Promise<string | null> => {
    if (window === null) return null;
    const { canceled, filePaths } = await dialog.showOpenDialog(window, options);
    return canceled ? null : (filePaths[0] ?? null);
  };
  const showMenu = () =>
    setApplicationMenu((command) => events.push({ type: 'command', command }), settings.current.keys);
  const router = createAppRouter({
    settings,
    conversations: new Conversations(database),
    workspaces,
    engine,
    workspace,
    terminal,
    network,
    events,
    models,
    chooseModelFiles: async () => {
      if (window === null) return null;
      const { canceled, filePaths } = await dialog.showOpenDialog(window, {
        title: 'Add Models',
        properties: ['openFile', 'multiSelections'],
        filters: [{ name: 'GGUF models', extensions: ['gguf'] }],
      });
      return canceled || filePaths.length === 0 ? null : filePaths;
    },
    chooseModelFolder: (title) => choose({ title, properties: ['openDirectory', 'createDirectory'] }),
    chooseFolder: () => choose({ title: 'Open Folder', properties: ['openDirectory', 'createDirectory'] }),
    chooseModelFile: () =>
      choose({
        title: 'Choose a Model',
        properties: ['openFile'],
        filters: [{ name: 'GGUF models', extensions: ['gguf'] }],
      }),
    chooseSavePath: async (name) => {
      if (window === null) return null;
      const { canceled, filePath } = await dialog.showSaveDialog(window, { defaultPath: basename(name) });
      return canceled ? null : filePath;
    },
    onKeys: showMenu,
    onWindowStarted: () => startRest(),
    onZoom: (percent) => window?.webContents.setZoomFactor(percent / 100),
    onReadyToClose: (found) => answerClosing?.(found),
  });
  broker.open({
    app: (port) => {
      serve(router, port);
      return true;
    },
    engine: (port) => engine.process.serve(port, 'renderer'),
    workspace: (port) => workspace.serve(port),
    terminal: (port) => terminal.serve(port),
  });

  /** Resolves when everything typed is stored, or with why it could not be. */
  const askPageToFlush = async (): Promise<ErrorInfo | null> => {
    if (!events.isHeard || window === null) return null;
    return new Promise((answer) => {
      answerClosing = answer;
      events.push({ type: 'closing' });
    });
  };

  const askUserToClose = async ({ message, hint }: ErrorInfo): Promise<boolean> => {
    if (window === null) return true;
    const { response } = await dialog.showMessageBox(window, {
      type: 'warning',
      message,
      detail: `${hint ?? ''}\n\nText that was not saved will be lost if you close the window now.`.trim(),
      buttons: ['Keep the Window Open', 'Close Anyway'],
      defaultId: 0,
      cancelId: 0,
    });
    return response === 1;
  };

  /** Models are large: before the window is there, the disk and the processor are its own. Later windows find them. */
  let isRestStarted = false;
  const startRest = () => {
    if (isRestStarted) return;
    isRestStarted = true;
    workspace.process.start();
    engine.process.start();
    void models.start();
    onStarted();
  };

  if (workspaces.current !== null) workspace.process.start();
  showMenu();

  app.on('activate', () => {
    if (window !== null) return;
    const opened = openMainWindow(preload);
    broker.setWindow(opened.window);
    keep(opened);
  });
  app.on('window-all-closed', () => app.quit());
  let hasStopped = false;
  app.on('will-quit', (event) => {
    if (hasStopped) return;
    event.preventDefault();
    const owned = [engine, workspace, terminal].map(({ process }) => process.stop());
    void Promise.all([...owned, models.close()]).finally(() => {
      hasStopped = true;
      database.close();
      app.quit();
    });
  });

  return {
    requestBlocked: (url) => network.blocked('window', url),
    startedAgain: (args, cwd) => {
      if (window?.isMinimized()) window.restore();
      window?.focus();
      const folder = folderArgument(args, cwd);
      if (folder === null) return;
      workspaces.addRecent(folder);
      events.openRequest(folder);
    },
  };
}
