import tseslint from 'typescript-eslint';

export default tseslint.config(
  { ignores: ['dist/', 'packages/*/dist/', 'coverage/', 'node_modules/', '.ratchet*/', 'test/openapi-tools/'] },
  {
    files: ['src/**/*.ts', 'test/**/*.ts', 'packages/*/src/**/*.{ts,mts}'],
    extends: [...tseslint.configs.strictTypeChecked],
    languageOptions: { parserOptions: { project: './tsconfig.json' } },
    rules: {
      'no-console': 'error',
      eqeqeq: 'error',
      'no-restricted-properties': [
        'error',
        { object: 'process', property: 'env', message: 'Configuration is read in src/config only.' },
        { object: 'Date', property: 'now', message: 'Inject the Clock of src/platform/common/clock.ts.' },
      ],
      '@typescript-eslint/no-extraneous-class': 'off',
      // DTOs and injection tokens are classes for Nest's sake; object literals of their shape are what is meant.
      '@typescript-eslint/no-unsafe-class-instance-assignment': 'off',
      '@typescript-eslint/consistent-type-exports': 'error',
      // One form: `import type { A }` for types alone, `import { type A, b }` for both; a module is imported once.
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'inline-type-imports' }],
      '@typescript-eslint/no-import-type-side-effects': 'error',
      'no-duplicate-imports': 'error',
      '@typescript-eslint/naming-convention': [
        'error',
        { selector: 'default', format: ['camelCase'] },
        { selector: 'import', format: null },
        { selector: 'typeLike', format: ['PascalCase'] },
        { selector: 'variable', modifiers: ['const'], format: ['camelCase', 'PascalCase', 'UPPER_CASE'] },
        { selector: 'function', format: ['camelCase', 'PascalCase'] },
        { selector: 'parameter', format: ['camelCase'], leadingUnderscore: 'allow' },
        // Names that others chose: columns, JSON members, headers, claims.
        { selector: ['variable', 'parameter'], modifiers: ['destructured'], format: null },
        { selector: ['property', 'objectLiteralMethod', 'typeProperty'], format: null },
        { selector: ['classProperty', 'parameterProperty'], modifiers: ['private'], format: ['camelCase'] },
      ],
      '@typescript-eslint/explicit-module-boundary-types': 'error',
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
    },
  },
  {
    files: ['src/platform/config/**/*.ts', 'test/**/*.ts', 'packages/testing/src/**/*'],
    rules: { 'no-restricted-properties': 'off' },
  },
  {
    files: ['test/**/*.ts', '**/*.spec.ts'],
    rules: {
      '@typescript-eslint/no-non-null-assertion': 'off',
      // Vitest declares `expect.any()` and its kin as `any`. Reading, calling, passing or returning an `any` stays an
      // error.
      '@typescript-eslint/no-unsafe-assignment': 'off',
    },
  },
);
