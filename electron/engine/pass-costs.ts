// What passes of each size take, by model and device: learned from every pass, and kept so that drafts have the right
// length from the first reply of the next start on. Losing the file costs a few replies that are a little slower.
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { z } from 'zod';

const costsSchema = z.record(z.string(), z.array(z.number().min(0).max(1e7)).max(1024));
/** Models that nobody loads any more are forgotten, the oldest first. */
const mostModels = 64;

export class PassCosts {
  #path: string | null = null;
  #costs: z.infer<typeof costsSchema> = {};
  #keptMs = -Infinity;

  /** Reads the file, once. Until then nothing is known and nothing is kept. */
  open(path: string): void {
    if (this.#path === path) return;
    this.#path = path;
    try {
      this.#costs = costsSchema.parse(JSON.parse(readFileSync(path, 'utf8')));
    } catch {
      this.#costs = {}; // none yet, or damaged
    }
  }

  of(key: string): Float64Array | null {
    const known = this.#costs[key];
    return known ? Float64Array.from(known) : null;
  }

  /** @param everyMs at most so often; 0: now */
  keep(key: string, passMs: () => Float64Array, everyMs: number, nowMs = performance.now()): void {
    if (this.#path === null || nowMs - this.#keptMs < everyMs) return;
    const ms = [...passMs()].map((value) => Math.round(value * 1000) / 1000);
    if (ms.every((value) => value === 0)) return;
    this.#keptMs = nowMs;
    const { [key]: _, ...others } = this.#costs;
    this.#costs = Object.fromEntries([...Object.entries(others), [key, ms] as const].slice(-mostModels));
    try {
      writeFileSync(`${this.#path}.new`, JSON.stringify(this.#costs));
      renameSync(`${this.#path}.new`, this.#path);
    } catch {
      // A disk that is full loses what the next start learns again.
    }
  }
}
