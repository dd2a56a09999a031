#!/bin/sh
':' //; exec node --no-allocation-site-pretenuring --heap-growing-percent=50 --max-semi-space-size=8 "$0" "$@"

// The line above starts Node with the settings of `npm start`, in the same process; for Node it is a string.
import { readFileSync } from 'node:fs';

const PROGRAMS = { start: 'main', users: 'users', keys: 'keys', mails: 'mails', migrate: 'migration' };

const USAGE = `Usage: ratchet <command>

  start    Start the service: ratchet start --help
  users    Manage accounts: ratchet users --help
  keys     Manage signing keys: ratchet keys --help
  mails    Manage mails that were not sent: ratchet mails --help
  migrate  Change the schema of the database: ratchet migrate --help

  --version, --help
`;

/** The exit code that shells use for wrong usage. */
const EXIT_MISUSED = 2;

const [command = ''] = process.argv.splice(2, 1);
if (Object.hasOwn(PROGRAMS, command)) {
  // Before any module is loaded, so that a stack names the line of the source.
  process.setSourceMapsEnabled(true);
  await import('../dist/interruption.js');
  await import(`../dist/${PROGRAMS[command]}.js`);
} else if (command === '--version' || command === '-v') {
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  process.stdout.write(`${version}\n`);
} else if (command === '--help' || command === '-h') {
  process.stdout.write(USAGE);
} else {
  process.stderr.write(command === '' ? USAGE : `There is no command "${command}".\n\n${USAGE}`);
  process.exitCode = EXIT_MISUSED;
}
