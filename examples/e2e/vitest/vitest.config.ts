import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: { globalSetup: '@ratchet/testing/vitest', include: ['*.e2e-spec.ts'] },
});
