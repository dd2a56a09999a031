import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

/**
 * Reads the command line of a script. `--help` prints the comment at the top of its file; what the script does not know
 * is refused with the same text, and exit code 2.
 *
 * @param script `import.meta.url` of the script
 * @param config as for `parseArgs`; neither options nor arguments by default
 */
export function readArguments(script, config = {}) {
  const options = { ...config.options, help: { type: 'boolean', short: 'h' } };
  let read;
  try {
    read = parseArgs({ ...config, options });
  } catch (error) {
    endWithUsage(script, error.message);
  }
  if (read.values.help) {
    process.stdout.write(usageOf(script));
    process.exit(0);
  }
  return read;
}

/** Ends the process as wrong usage does in shells. */
export function endWithUsage(script, reason) {
  process.stderr.write(`${reason}\n\n${usageOf(script)}`);
  process.exit(2);
}

function usageOf(script) {
  const lines = readFileSync(fileURLToPath(script), 'utf8')
    .replace(/^#!.*\n/, '')
    .split('\n');
  const end = lines.findIndex((line) => !line.startsWith('//'));
  return lines
    .slice(0, end)
    .map((line) => `${line.replace(/^\/\/ ?/, '')}\n`)
    .join('');
}
