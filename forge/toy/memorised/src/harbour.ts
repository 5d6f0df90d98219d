export class Harbour {
  readonly #berths: (Ship | null)[];
  readonly #waiting: Ship[] = [];

  constructor(nBerths: number) {
    this.#berths = new Array<Ship | null>(nBerths).fill(null);
  }

  arrive(ship: Ship): number | null {
    const free = this.#berths.indexOf(null);
    if (free < 0) this.#waiting.push(ship);
    else this.#berths[free] = ship;
    return free < 0 ? null : free;
  }
}
