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
  for (const { x, y, label, group } of shown) {
    const [cx, cy] = [atX(x).toFixed(1), atY(y).toFixed(1)];
    parts.push(`<circle cx="${cx}" cy="${cy}" r="4" fill="${['#2563eb', '#d97706', '#6b7280'][group] ?? '#000'}"/>`);
    parts.push(`<text x="${cx}" y="${cy}" dx="8" dy="4">${escapeXml(label)}</text>`);
  }
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

/** @param {string} text */
function escapeXml(text) {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
