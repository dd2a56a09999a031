import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { type Browser, type BrowserContext, chromium } from 'playwright-core';
import { afterAll, beforeAll } from 'vitest';
import type { TlsFront } from './tls-front.js';

/** Where Chromium is, if it is installed. */
export const chromiumPath = (process.env['PATH'] ?? '')
  .split(delimiter)
  .map((folder) => join(folder, 'chromium'))
  .find((path) => existsSync(path));

/** Says so when Chromium is missing: what browsers do has not been tried then. */
export function isChromiumInstalled(): boolean {
  if (chromiumPath === undefined) {
    process.stderr.write(
      'SKIPPED: chromium is not installed, so nothing is tried in a browser (.ci/run installs it)\n',
    );
  }
  return chromiumPath !== undefined;
}

/**
 * A browser for which every host name is the front, on port 443. It believes any certificate, and reaches nothing else.
 * Close it.
 */
export function launchChromium({ port }: Pick<TlsFront, 'port'>): Promise<Browser> {
  return chromium.launch({
    ...(chromiumPath !== undefined && { executablePath: chromiumPath }),
    // Tests run as root in containers, where Chromium's sandbox does not start.
    args: ['--no-sandbox', `--host-resolver-rules=MAP * 127.0.0.1:${port}`, '--ignore-certificate-errors'],
  });
}

/**
 * One browser for the tests of the enclosing `describe`. Each context that is taken from it has cookies and storage of its
 * own, and is closed with it.
 *
 * @param front has been started by a hook before this one
 */
export function useChromium(front: () => Pick<TlsFront, 'port'>): { newContext(): Promise<BrowserContext> } {
  let browser: Browser | undefined;
  beforeAll(async () => {
    browser = await launchChromium(front());
  });
  afterAll(() => browser?.close());
  return {
    newContext: () => {
      if (browser === undefined) {
        throw new Error('the browser exists in hooks and tests only, not while they are declared');
      }
      return browser.newContext();
    },
  };
}
