import type { ConfigVariable } from '../src/platform/config/config.variables.js';

export function renderEnvExample(variables: readonly ConfigVariable<unknown>[]): string;

/** @param rules what the settings must fulfil together */
export function renderConfigurationPage(
  variables: readonly ConfigVariable<unknown>[],
  rules: readonly string[],
): string;
