// Runs one of the measurements beside this file, over a build of what the checkout holds now.
// Usage: npm run measure -- <gateway | kit | login-timing | revocation | start | verifier> [argument]...
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { endWithUsage, readArguments } from './usage.mjs';

const here = (name) => new URL(name, import.meta.url);

const names = readdirSync(here('.')).flatMap((file) => /^measure-(.*)\.mjs$/.exec(file)?.[1] ?? []);
const [name] = process.argv.splice(2, 1);
if (name === '--help' || name === '-h') {
  process.argv.push(name);
  readArguments(import.meta.url);
} else if (!names.includes(name)) {
  endWithUsage(import.meta.url, `Say what to measure: ${names.join(', ')}`);
}
if (process.argv.includes('--help')) {
  await import(here(`measure-${name}.mjs`));
} else {
  const { status } = spawnSync(process.execPath, [fileURLToPath(here('build.mjs')), '--if-stale'], {
    stdio: 'inherit',
  });
  if (status === 0) {
    await import(here(`measure-${name}.mjs`));
  } else {
    process.exitCode = 1;
  }
}
