// A page that died is loaded again. What killed it may kill it again at once, and then for ever.
const kFewestDeaths = 3;
const kWithinMs = 60_000;

export class PageDeaths {
  #times: number[] = [];

  /** Notes one. @returns whether there were so many lately that the user has to say whether to go on */
  isOneTooMany(nowMs: number): boolean {
    this.#times = [...this.#times.filter((timeMs) => nowMs - timeMs < kWithinMs), nowMs];
    if (this.#times.length < kFewestDeaths) return false;
    this.#times = []; // if he goes on, they count anew
    return true;
  }
}
