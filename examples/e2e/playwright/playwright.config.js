import { createRequire } from 'node:module';
import { defineConfig } from '@playwright/test';

export default defineConfig({
  globalSetup: createRequire(import.meta.url).resolve('@ratchet/testing/playwright'),
  reporter: 'list',
  use: {
    // Debian's browser. Without this line Playwright takes the one that `npx playwright install chromium` fetches.
    launchOptions: { executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium' },
  },
});
