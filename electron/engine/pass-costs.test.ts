import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { temporaryFolder } from '../testing/temporary-folder.ts';
import { PassCosts } from './pass-costs.ts';

const ms = Float64Array.from([10, 0, 16.00049]);

describe('what passes take', () => {
  it('is there at the next start, by model and device', () => {
    const path = join(temporaryFolder(), 'pass-costs.json');
    const costs = new PassCosts();
    costs.keep('a', () => ms, 0);
    expect(costs.of('a')).toBeNull(); // nobody said where to keep it
    costs.open(path);
    costs.keep('a', () => ms, 0);
    const next = new PassCosts();
    next.open(path);
    expect([next.of('a'), next.of('b')]).toEqual([Float64Array.from([10, 0, 16]), null]);
  });

  it('is written no more often than asked, and not before something is known', () => {
    const costs = new PassCosts();
    costs.open(join(temporaryFolder(), 'pass-costs.json'));
    costs.keep('a', () => new Float64Array(64), 0, 0);
    expect(costs.of('a')).toBeNull();
    costs.keep('a', () => ms, 1000, 0);
    const later = vi.fn(() => ms);
    costs.keep('b', later, 1000, 999);
    expect(later).not.toHaveBeenCalled();
    costs.keep('b', later, 1000, 1000);
    expect(costs.of('b')).not.toBeNull();
  });

  it('is nothing where the file is damaged or says what cannot be, and of few models', () => {
    const path = join(temporaryFolder(), 'pass-costs.json');
    for (const text of ['{', '[]', '{"a":["x"]}', '{"a":[-1]}']) {
      writeFileSync(path, text);
      const costs = new PassCosts();
      costs.open(path);
      expect(costs.of('a'), text).toBeNull();
      for (let i = 0; i < 100; i++) costs.keep(`model ${i}`, () => ms, 0);
      expect(Object.keys(JSON.parse(readFileSync(path, 'utf8')))).toHaveLength(64);
    }
  });
});
