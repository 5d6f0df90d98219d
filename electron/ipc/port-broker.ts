// Hands the window its MessagePorts: main makes each pair, gives one end to the process that serves it, and steps
// aside.
import { type BrowserWindow, ipcMain, MessageChannelMain, type MessagePortMain } from 'electron';
import { ipcChannels, type PortName, portNames } from '../common/ports.ts';

/** Takes one end of a channel; false if nobody is there to serve it. */
type Server = (port: MessagePortMain) => boolean;

export class PortBroker {
  #servers: Record<PortName, Server> | null = null;
  readonly #origin: string;
  readonly #asked = Promise.withResolvers<void>();
  #window: BrowserWindow | null = null;
  /** The page listens. Before that a port would be lost. */
  #isReady = false;

  /** @param origin the only one that gets ports */
  constructor(origin: string) {
    this.#origin = origin;
    ipcMain.on(ipcChannels.portsRequest, (event) => {
      const window = this.#window;
      const isOurs = window !== null && event.senderFrame === window.webContents.mainFrame;
      if (!isOurs || !event.senderFrame?.url.startsWith(`${this.#origin}/`)) return;
      this.#isReady = true;
      this.#asked.resolve();
      for (const name of portNames) this.deliver(name);
    });
  }

  /** A page asked for its ports: it has its scripts. */
  get isAsked(): Promise<void> {
    return this.#asked.promise;
  }

  /** From now on ports lead somewhere; a page that asked before gets its own now. */
  open(servers: Record<PortName, Server>): void {
    this.#servers = servers;
    for (const name of portNames) this.deliver(name);
  }

  setWindow(window: BrowserWindow): void {
    this.#window = window;
    this.#isReady = false;
    window.webContents.on('did-start-navigation', (details) => {
      if (details.isMainFrame && !details.isSameDocument) this.#isReady = false;
    });
  }

  /** Gives the window a new port of this name; it replaces the one before. */
  deliver(name: PortName): void {
    if (this.#servers === null || !this.#isReady || this.#window === null || this.#window.isDestroyed()) return;
    const { port1, port2 } = new MessageChannelMain();
    if (this.#servers[name](port1)) this.#window.webContents.postMessage(ipcChannels.portsDeliver, name, [port2]);
  }

  /** Tells the window that the process behind its port of this name ended. */
  withdraw(name: PortName): void {
    if (!this.#isReady || this.#window === null || this.#window.isDestroyed()) return;
    this.#window.webContents.postMessage(ipcChannels.portsDeliver, name);
  }
}
