// Bytes per second over the last seconds.
const windowMs = 5000;

export class SpeedMeter {
  readonly #nowMs: () => number;
  #marks: { atMs: number; nDone: number }[] = [];

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  reached(nDone: number): void {
    const atMs = this.#nowMs();
    const last = this.#marks.at(-1);
    if (last && nDone < last.nDone) this.#marks = [];
    if (last && atMs - last.atMs < 100) return;
    this.#marks = [...this.#marks.filter((mark) => atMs - mark.atMs < windowMs), { atMs, nDone }];
  }

  bytesPerSecond(): number {
    const [first, last] = [this.#marks[0], this.#marks.at(-1)];
    if (!first || !last || last.atMs - first.atMs < 200) return 0;
    return ((last.nDone - first.nDone) * 1000) / (last.atMs - first.atMs);
  }
}
