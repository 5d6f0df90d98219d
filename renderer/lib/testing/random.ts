// Random values that are the same in every run (mulberry32), for tests of properties.

export function random(seed: number) {
  let state = seed;
  const next = () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  /** From 0 to `below` - 1; 0 for none. */
  const int = (below: number) => Math.floor(next() * below);
  const pick = <T>(values: readonly [T, ...T[]]): T => values[int(values.length)] ?? values[0];
  return { int, pick };
}
