// Collects the MessagePorts that preload re-posts to this window, and hands out the newest of each name. A process
// that was restarted gets a new port; calls on the old one then fail, and new calls wait for the new port.
import { isPortMessage, type PortName, portNames, readyEvent } from '../../electron/common/ports.ts';

interface Slot {
  port: MessagePort | null;
  waiting: ((port: MessagePort) => void)[];
}

export class PortInbox {
  readonly #window: Window;
  readonly #slots = Object.fromEntries(
    portNames.map((name): [PortName, Slot] => [name, { port: null, waiting: [] }]),
  ) as Record<PortName, Slot>;

  constructor(target: Window) {
    this.#window = target;
    target.addEventListener('message', (event: MessageEvent) => {
      if (event.source !== target || !isPortMessage(event.data)) return;
      const port = event.ports[0];
      if (port) this.#receive(event.data.name, port);
      else this.#lost(event.data.name);
    });
  }

  /** Tells preload that ports can be delivered. */
  announceReady(): void {
    this.#window.dispatchEvent(new Event(readyEvent));
  }

  /** The present port, or the next one. */
  port(name: PortName): Promise<MessagePort> {
    const slot = this.#slots[name];
    return slot.port ? Promise.resolve(slot.port) : new Promise((resolve) => slot.waiting.push(resolve));
  }

  /** The process behind a port ended: calls in flight fail now instead of waiting for ever. */
  #lost(name: PortName): void {
    const slot = this.#slots[name];
    const port = slot.port;
    if (!port) return;
    slot.port = null;
    // A port does not get its own close event, and the RPC client listens for exactly that to fail its calls.
    port.dispatchEvent(new Event('close'));
    port.close();
  }

  #receive(name: PortName, port: MessagePort): void {
    this.#lost(name);
    const slot = this.#slots[name];
    slot.port = port;
    port.addEventListener('close', () => {
      if (slot.port === port) slot.port = null;
    });
    port.start();
    for (const resolve of slot.waiting.splice(0)) resolve(port);
  }
}
