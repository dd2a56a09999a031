const GAP = '  ';

export interface Column<T> {
  readonly heading: string;
  readonly cell: (row: T) => string;
  /** Left out where the table is wider than the terminal. */
  readonly isOptional?: boolean;
}

/**
 * Renders one line per row under headings, without spaces at the end of a line. What is too wide for the terminal loses
 * its optional columns. If that is not enough, each row becomes a block with a line for every cell.
 *
 * @param width in columns
 */
export function textTable<T>(columns: readonly Column<T>[], rows: readonly T[], width: number): string {
  const candidates = [columns, columns.filter(({ isOptional }) => isOptional !== true)];
  const fitting = candidates
    .map((shown) => aligned([shown.map(({ heading }) => heading), ...rows.map((row) => cellsOf(shown, row))]))
    .find((lines) => lines.every(({ length }) => length <= width));
  return fitting?.join('\n') ?? rows.map((row) => blockOf(columns, row)).join('\n\n');
}

function blockOf<T>(columns: readonly Column<T>[], row: T): string {
  return aligned(columns.map(({ heading, cell }) => [heading, cell(row)])).join('\n');
}

function cellsOf<T>(columns: readonly Column<T>[], row: T): string[] {
  return columns.map(({ cell }) => cell(row));
}

function aligned(lines: readonly (readonly string[])[]): string[] {
  const [first = []] = lines;
  const widths = first.map((_, index) => Math.max(...lines.map((cells) => cells[index]?.length ?? 0)));
  return lines.map((cells) =>
    cells
      .map((cell, index) => cell.padEnd(widths[index] ?? 0))
      .join(GAP)
      .trimEnd(),
  );
}
