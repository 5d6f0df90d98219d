import { expect, test } from 'vitest';
import { scatterPlot } from './plot.mjs';

const axes = { title: 'a & b', xTitle: 'bits', yTitle: 'loss' };

test('a point lies where its values say, the second on a logarithmic axis', () => {
  const svg = scatterPlot({
    ...axes,
    points: [
      { x: 0, y: 0.01, label: 'low', group: 0 },
      { x: 4, y: 1, label: 'high', group: 1 },
      { x: 2, y: 0.1, label: 'middle', group: 2 },
    ],
  });
  const circles = [...svg.matchAll(/cx="([\d.]+)" cy="([\d.]+)"/g)].map(([, x, y]) => [Number(x), Number(y)]);
  const [low = [], high = [], middle = []] = circles;
  expect(middle[0]).toBeCloseTo(((low[0] ?? 0) + (high[0] ?? 0)) / 2, 1);
  expect(middle[1]).toBeCloseTo(((low[1] ?? 0) + (high[1] ?? 0)) / 2, 1);
  expect(high[1]).toBeLessThan(low[1] ?? 0);
});

test('labels cannot break the document, and points without a place are left out', () => {
  const svg = scatterPlot({ ...axes, points: [{ x: 1, y: 1, label: '<k4v2>', group: 0 }] });
  expect(svg).toContain('&lt;k4v2&gt;');
  expect(svg).toContain('a &amp; b');
  expect(scatterPlot({ ...axes, points: [{ x: 1, y: 0, label: 'exact', group: 0 }] })).toBe('');
});

test('labels of points that lie together lie apart', () => {
  const points = ['a', 'b', 'c', 'd'].map((letter, i) => ({
    x: 3,
    y: 0.02 + i / 1e6,
    label: letter.repeat(8),
    group: 2,
  }));
  const svg = scatterPlot({ ...axes, points });
  const boxes = points.map(({ label }) => {
    const [, x, y, anchor] = svg.match(new RegExp(`x="([\\d.]+)" y="([\\d.]+)" text-anchor="(\\w+)">${label}<`)) ?? [];
    return { left: Number(x) - (anchor === 'end' ? 48 : 0), y: Number(y) };
  });
  for (const [i, a] of boxes.entries())
    for (const b of boxes.slice(0, i)) expect(Math.abs(a.left - b.left) >= 48 || Math.abs(a.y - b.y) >= 11).toBe(true);
});
