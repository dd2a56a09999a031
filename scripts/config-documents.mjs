// Renders `.env.example` and docs/configuration.md from the table of variables. Used by scripts/docs-config.mjs, which
// writes them, and by the spec that compares them.

const ENV_HEADER = `# Written by \`npm run docs:config\`. Copy this file to .env and uncomment what you change. The file .env is read in
# development only, and the environment takes precedence over it.
# Each secret can also be given as NAME_FILE, the path of a file that holds it.
`;

const PAGE_HEADER = `# Configuration

<!-- Written by \`npm run docs:config\` from src/platform/config/config.variables.ts. -->

Settings come from the environment, where an empty variable counts as unset. In development the file \`.env\` is read as
well, and the environment takes precedence over it; [.env.example](../.env.example) is a template.
It has one assignment a line. A value that contains a quote or a \`#\` is put into quotes as a whole; a line that could be
read in two ways is refused by its number.

A secret can come from a file instead: the variable with \`_FILE\` at its end holds the path. One newline at the end of the
file is ignored.

All settings are checked before the service starts. Every problem is reported at once, and no value is printed. The first
line of the log lists the settings that differ from their defaults, and shows a secret only as set.

## Variables

`;

const RULES_HEADER = `
## Settings that depend on each other

The service starts only if all of these hold:

`;

export function renderEnvExample(variables) {
  const blocks = variables.map(({ name, meaning, whenUnset, parser, default: defaultText = '' }) => {
    const unset = whenUnset === undefined ? '' : ` Unset: ${whenUnset}.`;
    return `# ${meaning}${unset}\n# Accepts ${parser.accepts}.\n# ${name}=${defaultText}\n`;
  });
  return [ENV_HEADER, ...blocks].join('\n');
}

export function renderConfigurationPage(variables, rules) {
  const table = renderTable([
    ['variable', 'default', 'accepts', 'meaning'],
    ...variables.map(({ name, isSecret, default: defaultText, whenUnset, parser, meaning }) => [
      isSecret ? `\`${name}\`, \`${name}_FILE\`` : `\`${name}\``,
      defaultText === undefined ? whenUnset : `\`${defaultText}\``,
      parser.accepts,
      meaning,
    ]),
  ]);
  const list = rules.map((rule) => `- ${rule.replace(/\bPORT\b|\b[A-Z]+_[A-Z_]+\b/g, '`$&`')}.\n`).join('');
  return PAGE_HEADER + table + RULES_HEADER + list;
}

/** Aligns the columns as the formatter does. */
function renderTable([header, ...body]) {
  const rows = [header, header.map(() => ''), ...body];
  const widths = header.map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  return rows
    .map((row, index) => row.map((cell, column) => cell.padEnd(widths[column], index === 1 ? '-' : ' ')))
    .map((cells) => `| ${cells.join(' | ')} |\n`)
    .join('');
}
