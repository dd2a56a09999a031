// Writes `.env.example` and docs/configuration.md from src/platform/config/config.variables.ts.
// Usage: npm run docs:config
import { writeFileSync } from 'node:fs';
import { configRuleTexts } from '../dist/platform/config/config.rules.js';
import { configVariableList } from '../dist/platform/config/config.variables.js';
import { renderConfigurationPage, renderEnvExample } from './config-documents.mjs';
import { readArguments } from './usage.mjs';

readArguments(import.meta.url);

const root = new URL('../', import.meta.url);

writeFileSync(new URL('.env.example', root), renderEnvExample(configVariableList));
writeFileSync(new URL('docs/configuration.md', root), renderConfigurationPage(configVariableList, configRuleTexts));
