// Small plots as SVG text: points with labels over two axes, the second logarithmic.

const width = 640;
const height = 400;
const margin = { left: 70, right: 110, top: 20, bottom: 45 };

/**
 * @typedef {{ x: number, y: number, label: string, group: number }} Point group: which colour, 0 to 2; y is above 0
 * @param {{ title: string, xTitle: string, yTitle: string, points: Point[] }} plot
 * @returns {string} an SVG document; empty if there is nothing to show
 */
export function scatterPlot({ title, xTitle, yTitle, points }) {
  const shown = points.filter(({ x, y }) => Number.isFinite(x) && Number.isFinite(y) && y > 0);
  if (shown.length === 0) return '';
  const xMost = Math.ceil(Math.max(...shown.map(({ x }) => x)));
  const decades = shown.map(({ y }) => Math.log10(y));
  const low = Math.floor(Math.min(...decades));
  const high = Math.max(low + 1, Math.ceil(Math.max(...decades)));
  const atX = (/** @type {number} */ x) => margin.left + (x / xMost) * (width - margin.left - margin.right);
  const atY = (/** @type {number} */ y) =>
    margin.top + ((high - Math.log10(y)) / (high - low)) * (height - margin.top - margin.bottom);

  const parts = [];
  for (let decade = low; decade <= high; ++decade) {
    const y = atY(10 ** decade).toFixed(1);
    parts.push(`<line x1="${margin.left}" x2="${width - margin.right}" y1="${y}" y2="${y}" stroke="#8884"/>`);
    parts.push(`<text x="${margin.left - 8}" y="${y}" text-anchor="end" dy="4">1e${decade}</text>`);
  }
  for (let x = 0; x <= xMost; x += xMost > 10 ? 2 : 1) {
    parts.push(`<text x="${atX(x).toFixed(1)}" y="${height - margin.bottom + 18}" text-anchor="middle">${x}</text>`);
  }
  const placed = shown.map((point) => ({ ...point, cx: atX(point.x), cy: atY(point.y) }));
  for (const { cx, cy, group } of placed) {
    const fill = ['#2563eb', '#d97706', '#6b7280'][group] ?? '#000';
    parts.push(`<circle cx="${cx.toFixed(1)}" cy="${cy.toFixed(1)}" r="4" fill="${fill}"/>`);
  }
  for (const { x, y, anchor, label } of placeLabels(placed))
    parts.push(`<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}">${escapeXml(label)}</text>`);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12">`,
    `<title>${escapeXml(title)}</title><rect width="${width}" height="${height}" fill="#fff"/>`,
    ...parts,
    `<text x="${(width - margin.right + margin.left) / 2}" y="${height - 8}" text-anchor="middle">${escapeXml(xTitle)}</text>`,
    `<text x="14" y="${height / 2}" text-anchor="middle" transform="rotate(-90 14 ${height / 2})">${escapeXml(yTitle)}</text>`,
    '</svg>',
    '',
  ].join('\n');
}

/**
 * Beside each point, where nothing else is; the first groups choose first.
 * @param {(Point & { cx: number, cy: number })[]} points
 * @returns {{ x: number, y: number, anchor: 'start' | 'end', label: string }[]} where each label's line begins or ends
 */
function placeLabels(points) {
  /** @typedef {{ left: number, right: number, top: number, bottom: number }} Box */
  /** @type {Box[]} */
  const taken = points.map(({ cx, cy }) => ({ left: cx - 4, right: cx + 4, top: cy - 4, bottom: cy + 4 }));
  const isFree = (/** @type {Box} */ box) =>
    !taken.some(
      (other) => box.left < other.right && other.left < box.right && box.top < other.bottom && other.top < box.bottom,
    );
  return points
    .toSorted((a, b) => a.group - b.group)
    .map(({ cx, cy, label }) => {
      const labelWidth = 6.6 * label.length;
      const candidates = [0, -12, 12, -24, 24, -36, 36].flatMap((dy) =>
        /** @type {const} */ (['start', 'end']).map((anchor) => {
          const x = anchor === 'start' ? cx + 8 : cx - 8;
          const [left, right] = anchor === 'start' ? [x, x + labelWidth] : [x - labelWidth, x];
          return {
            at: { x, y: cy + dy + 4, anchor, label },
            box: { left, right, top: cy + dy - 5, bottom: cy + dy + 6 },
          };
        }),
      );
      const chosen = candidates.find(({ box }) => isFree(box) && box.left > 0 && box.right < width) ?? candidates[0];
      if (chosen === undefined) throw new Error('There is always a first candidate.');
      taken.push(chosen.box);
      return chosen.at;
    });
}

/** @param {string} text */
function escapeXml(text) {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
