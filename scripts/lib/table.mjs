// Text tables for the terminal.

/**
 * Columns, the first to the left and the others to the right.
 * @param {string[][]} rows of equal length
 */
export function formatTable(rows) {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const lines = rows.map((row) =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))),
  );
  return lines.map((cells) => cells.join('  ')).join('\n');
}
