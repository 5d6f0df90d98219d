// How the renderer gets its MessagePorts. Ports cannot cross the context bridge, so the preload script
// re-posts them to its own window; main creates each pair and hands the other end to the process that
// serves it. A process that ended is announced by the same message without a port, on the same way: neither can
// overtake the other. The one that is started in its place gets a new port.

/** What a port leads to. `app` is served by main, the others by their utility process. */
export const portNames = ['app', 'workspace', 'engine', 'terminal'] as const;
export type PortName = (typeof portNames)[number];

/** IPC channels between preload and main. Nothing else uses Electron's IPC. */
export const ipcChannels = {
  /** renderer → main: "send me my ports", once per page load. */
  portsRequest: 'ports:request',
  /** main → renderer: one port, its name as the argument; no port if the one before leads nowhere any more. */
  portsDeliver: 'ports:deliver',
} as const;

/** The window message that carries one port in `event.ports[0]`, or none. */
export interface PortMessage {
  type: 'outpost:port';
  name: PortName;
}

/**
 * The page's event on its window once it listens for ports; preload answers it with `ports:request`. An event and no message:
 * it is heard at once, while the page goes on with its work.
 */
export const readyEvent = 'outpost:ready';

export function isPortMessage(value: unknown): value is PortMessage {
  if (typeof value !== 'object' || value === null) return false;
  const { type, name } = value as Record<string, unknown>;
  return type === 'outpost:port' && portNames.some((known) => known === name);
}

/** main → utility process: the first message on `process.parentPort`, and again for every new renderer port. */
export interface ServePortMessage {
  type: 'serve';
  /** Who is at the other end: the renderer, or main itself (control calls). */
  client: 'renderer' | 'main';
}
