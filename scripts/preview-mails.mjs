// Renders every mail in every language with sample values: HTML and text, and pictures of the HTML where a Chromium is
// installed, at 390 and 640 pixels, light and dark. Prints the folder, and the size of the largest HTML.
// Usage: npm run mails:preview [-- --templates <MAIL_TEMPLATES_DIR>] [--into .ratchet-mails] [--chromium /usr/bin/chromium]
import { existsSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { readArguments } from './usage.mjs';
import { root } from './stale.mjs';

const WIDTHS = [390, 640];
const SCHEMES = ['light', 'dark'];

const SAMPLE = {
  email: 'ada.lovelace@example.com',
  code: '04671205',
  link: 'https://account.example.com/#registration=rl1.Km8fej5cC02OmlQNL2wbfhFFtYeqwDqkKk4acsI1HE1wP8UQ3j6RUm5GNSCVg5kzmg',
  minutes: 1_440,
  at: '2026-11-28T05:46:00Z',
  newEmail: 'ada@new.example',
  oldEmail: 'ada.lovelace@example.com',
  client: 'Firefox, Linux',
  network: '198.51.100.7',
  factor: 'passkey',
  left: 9,
};

const { values } = readArguments(import.meta.url, {
  options: {
    templates: { type: 'string' },
    into: { type: 'string', default: '.ratchet-mails' },
    chromium: { type: 'string', default: '/usr/bin/chromium' },
  },
});
const folder = resolve(values.into);
const load = (name) => import(pathToFileURL(join(root, 'dist/mail', name)).href);
const { MailTemplatesService } = await load('mail-templates.service.js');
const { MAIL_VALUES } = await load('mail-templates.types.js');
const { BUILT_IN_LOCALES, LOCALE } = await load('locale.js');

const added = values.templates === undefined ? [] : readdirSync(values.templates).filter((name) => LOCALE.test(name));
const templates = new MailTemplatesService({
  productName: 'Ratchet',
  accountHost: 'account.example.com',
  locale: 'en',
  templatesDir: values.templates && resolve(values.templates),
});
mkdirSync(folder, { recursive: true });
const pages = [];
for (const locale of new Set([...BUILT_IN_LOCALES, ...added])) {
  for (const mail of Object.keys(MAIL_VALUES)) {
    const { subject, text, html } = await templates.render(mail, locale, SAMPLE);
    const name = `${locale}-${mail}`;
    writeFileSync(join(folder, `${name}.html`), html);
    writeFileSync(join(folder, `${name}.txt`), `Subject: ${subject}\n\n${text}`);
    pages.push(name);
  }
}
if (existsSync(values.chromium)) {
  await takePictures();
} else {
  console.error(`No pictures: there is no ${values.chromium}`);
}
const largest = Math.max(...pages.map((name) => statSync(join(folder, `${name}.html`)).size));
console.log(`${folder}: ${pages.length} mails, the largest HTML has ${largest} bytes`);

async function takePictures() {
  const { chromium } = await import('playwright-core');
  const browser = await chromium.launch({ executablePath: values.chromium, args: ['--no-sandbox'] });
  try {
    for (const width of WIDTHS) {
      for (const colorScheme of SCHEMES) {
        const page = await browser.newPage({ viewport: { width, height: 400 }, colorScheme });
        for (const name of pages) {
          await page.setContent(readFileSync(join(folder, `${name}.html`), 'utf8'));
          await page.screenshot({ path: join(folder, `${name}-${width}-${colorScheme}.png`), fullPage: true });
        }
        await page.close();
      }
    }
  } finally {
    await browser.close();
  }
}
