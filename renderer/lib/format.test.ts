import { describe, expect, it } from 'vitest';
import { formatAge, formatBytes, formatCompact, formatCount, formatDuration, formatRate } from './format.ts';

describe('format', () => {
  it('groups thousands', () => {
    expect(formatCount(1030)).toBe('1,030');
  });

  it('shortens large counts without a jump at the unit', () => {
    expect([999, 1000, 9940, 9999, 32_768].map(formatCompact)).toEqual(['999', '1.0k', '9.9k', '10k', '33k']);
  });

  it('uses binary units', () => {
    expect([512, 1536, 322_591_712].map(formatBytes)).toEqual(['512 B', '1.5 KiB', '308 MiB']);
  });

  it('shows rates and durations in the unit people compare', () => {
    expect([23.44, 202.46].map(formatRate)).toEqual(['23.4 tok/s', '202 tok/s']);
    expect([840, 2340, 65_000].map(formatDuration)).toEqual(['840 ms', '2.3 s', '1 min 5 s']);
  });

  it('tells an age by its largest unit', () => {
    const now = Date.UTC(2026, 10, 24, 12);
    const minute = 60_000;
    const ages = [0, 5 * minute, 180 * minute, 25 * 60 * minute, 4 * 24 * 60 * minute];
    expect(ages.map((age) => formatAge(now - age, now))).toEqual(['now', '5 min', '3 h', 'yesterday', '4 days']);
    expect(formatAge(Date.UTC(2026, 0, 5, 12), now)).toBe('Jan 5, 2026');
  });
});
