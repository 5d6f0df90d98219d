// Numbers and times as the interface shows them. English only: the app has no other language yet.

const count = new Intl.NumberFormat('en');

/** 12,345 */
export function formatCount(value: number): string {
  return count.format(Math.round(value));
}

/** 950, 1.2k, 34k: for meters where width matters. */
export function formatCompact(value: number): string {
  if (value < 1000) return String(Math.round(value));
  const thousands = value / 1000;
  return thousands < 9.95 ? `${thousands.toFixed(1)}k` : `${Math.round(thousands)}k`;
}

/** Binary units with one decimal below 10: "307 MiB", "1.2 GiB". */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 || value >= 10 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

/** "23.4 tok/s"; one decimal, because below 10 it is what people compare. */
export function formatRate(tokensPerSecond: number): string {
  return `${tokensPerSecond.toFixed(tokensPerSecond < 99.95 ? 1 : 0)} tok/s`;
}

/** "840 ms", "2.3 s", "1 min 5 s". */
export function formatDuration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

/** How long ago, coarse: "now", "5 min", "3 h", "yesterday", "4 days", then the date. */
export function formatAge(thenMs: number, nowMs: number): string {
  const minutes = Math.floor((nowMs - thenMs) / 60_000);
  if (minutes < 1) return 'now';
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours} h`;
  const days = Math.floor(hours / 24);
  if (days === 1) return 'yesterday';
  if (days < 7) return `${days} days`;
  return new Date(thenMs).toLocaleDateString('en', { day: 'numeric', month: 'short', year: 'numeric' });
}
