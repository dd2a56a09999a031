import { type ConfigVariable, configVariableList, fileVariableName } from './config.variables.js';

/**
 * The Markdown table of the README, from the same list that the start-up check uses, with its columns aligned as the
 * formatter leaves them.
 */
export function renderConfigurationTable(): string {
  const rows = [
    ['variable', 'default', 'accepts', 'meaning'],
    ...configVariableList.map((variable) => [
      names(variable),
      variable.default === undefined ? (variable.whenUnset ?? '') : `\`${variable.default}\``,
      variable.parser.accepts,
      variable.meaning,
    ]),
  ];
  const widths = [0, 1, 2, 3].map((column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  const line = (cells: readonly string[]): string =>
    `| ${widths.map((width, column) => (cells[column] ?? '').padEnd(width)).join(' | ')} |\n`;
  const [header = [], ...body] = rows;
  return [header, widths.map((width) => '-'.repeat(width)), ...body].map(line).join('');
}

function names(variable: ConfigVariable<unknown>): string {
  return variable.isSecret ? `\`${variable.name}\`, \`${fileVariableName(variable)}\`` : `\`${variable.name}\``;
}
