// Where the window was when the app ended.
import type { DatabaseSync } from 'node:sqlite';
import { z } from 'zod';
import { parseColumn, stored } from './database.ts';

const placeSchema = z.object({
  x: z.int(),
  y: z.int(),
  width: z.int().min(100),
  height: z.int().min(100),
  isMaximized: z.boolean(),
});
type Place = z.infer<typeof placeSchema>;

export class WindowPlaces {
  readonly #database: DatabaseSync;

  constructor(database: DatabaseSync) {
    this.#database = database;
  }

  load(): Place | null {
    const row = this.#database.prepare("SELECT value FROM state WHERE key = 'window'").get() as
      | { value: string }
      | undefined;
    return row === undefined ? null : (parseColumn(placeSchema, row.value) ?? null);
  }

  /** A place that cannot be stored is not worth keeping a window open for. */
  save(place: Place): void {
    try {
      stored('The window', () =>
        this.#database.prepare("INSERT OR REPLACE INTO state VALUES ('window', ?)").run(JSON.stringify(place)),
      );
    } catch {}
  }
}
