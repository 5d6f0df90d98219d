// The most bytes per second that all downloads together may take; 0 for no limit.
import { sleep } from '../../common/sleep.ts';

export class RateLimit {
  readonly #bytesPerSecond: () => number;
  readonly #nowMs: () => number;
  readonly #sleep: typeof sleep;
  #freeAtMs = 0;

  constructor(bytesPerSecond: () => number, nowMs: () => number = () => performance.now(), pause = sleep) {
    this.#bytesPerSecond = bytesPerSecond;
    this.#nowMs = nowMs;
    this.#sleep = pause;
  }

  /** Waits until `n` bytes that arrived are paid for: the connection fills up meanwhile, and its sender slows down. */
  async take(n: number, signal: AbortSignal): Promise<void> {
    const rate = this.#bytesPerSecond();
    if (rate <= 0) return;
    const nowMs = this.#nowMs();
    this.#freeAtMs = Math.max(this.#freeAtMs, nowMs) + (n / rate) * 1000;
    const waitMs = this.#freeAtMs - nowMs;
    if (waitMs >= 5) await this.#sleep(waitMs, signal);
  }
}
