// Writes `.env.example` and docs/configuration.md from src/platform/config/config.variables.ts.
// Usage: npm run docs:config
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { renderConfigurationPage, renderEnvExample } from './config-documents.mjs';

const root = new URL('../', import.meta.url);

const built = spawnSync('npm', ['run', '--silent', 'build:service'], { cwd: fileURLToPath(root), stdio: 'inherit' });
if (built.status !== 0) {
  process.exit(1);
}
const { configVariableList } = await import('../dist/platform/config/config.variables.js');
const { configRuleTexts } = await import('../dist/platform/config/config.rules.js');

writeFileSync(new URL('.env.example', root), renderEnvExample(configVariableList));
writeFileSync(new URL('docs/configuration.md', root), renderConfigurationPage(configVariableList, configRuleTexts));
