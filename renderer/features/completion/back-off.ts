// A suggestion that is dismissed was a disturbance: the next ones wait longer. Accepted ones take the wait back.

/** What the first dismissal adds is half of this: below the pause between two words. */
const kUnitMs = 150;
const kMostMs = 3000;
/** A mood of the last minutes, not a verdict for the day. */
const kMemoryMs = 10 * 60_000;
const kDismissed = 1.5;
const kAccepted = 0.8;

export class BackOff {
  #events: { atMs: number; factor: number }[] = [];

  dismissed(nowMs: number): void {
    this.#add(nowMs, kDismissed);
  }

  accepted(nowMs: number): void {
    this.#add(nowMs, kAccepted);
  }

  /** How long to wait after a key before the engine is asked; 0 until something was dismissed. */
  delayMs(nowMs: number): number {
    // In order, and never below 1: many accepted ones do not pay for dismissals to come.
    const factor = this.#recent(nowMs).reduce((product, event) => Math.max(1, product * event.factor), 1);
    return Math.min(kMostMs, Math.round(kUnitMs * (factor - 1)));
  }

  #add(atMs: number, factor: number): void {
    this.#events = [...this.#recent(atMs), { atMs, factor }].slice(-100);
  }

  #recent(nowMs: number) {
    return this.#events.filter(({ atMs }) => nowMs - atMs < kMemoryMs);
  }
}
