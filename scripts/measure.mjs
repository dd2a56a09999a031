// Runs one of the measurements beside this file, over a build of what the checkout holds now.
// Usage: npm run measure -- <gateway | login-timing | revocation | start | verifier> [argument]...
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const here = (name) => new URL(name, import.meta.url);

const names = readdirSync(here('.')).flatMap((file) => /^measure-(.*)\.mjs$/.exec(file)?.[1] ?? []);
const [name] = process.argv.splice(2, 1);
if (!names.includes(name)) {
  console.error(`Say what to measure: ${names.join(', ')}`);
  process.exitCode = 2;
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
