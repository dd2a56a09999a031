import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { ConfigurationError } from '../platform/config/config.errors.js';
import { BUILT_IN_LOCALES } from './locale.js';
import { MailTemplatesService } from './mail-templates.service.js';
import {
  MAIL_VALUES,
  type MailTemplate,
  type MailTemplateSettings,
  type MailValueName,
  type MailValues,
  type RenderedMail,
} from './mail-templates.types.js';

const SETTINGS: MailTemplateSettings = {
  productName: 'Ratchet',
  accountHost: 'account.example.com',
  locale: 'en',
  templatesDir: undefined,
};
const MAILS = Object.keys(MAIL_VALUES) as MailTemplate[];
const ALL = BUILT_IN_LOCALES.flatMap((locale) => MAILS.map((mail) => [locale, mail] as const));

const VALUES: Readonly<Record<MailValueName, string | number>> = {
  email: 'ada@example.com',
  code: '04671205',
  link: 'https://account.example.com/account#registration=rl1.Km8fej5cC02OmlQNL2wbfhFFtYeqwDqkKk4acsI1HE1wP8UQ3j6RUm5GNSCVg5kzmg',
  minutes: 1440,
  at: '2026-11-28T05:46:12.345Z',
  newEmail: 'ada@new.example',
  oldEmail: 'ada@old.example',
  client: 'Firefox, Linux',
  network: '198.51.100.7',
  factor: 'totp',
  left: 9,
};

const HTML_ESCAPES: Readonly<Record<string, string>> = {
  '&amp;': '&',
  '&lt;': '<',
  '&gt;': '>',
  '&quot;': '"',
  '&#39;': "'",
};

function valuesOf(mail: MailTemplate, values: Readonly<Record<MailValueName, string | number>> = VALUES): MailValues {
  return Object.fromEntries(['email' as const, ...MAIL_VALUES[mail]].map((name) => [name, values[name]])) as MailValues;
}

/** What a reader sees of an HTML part, without the style sheet and the title. */
function visibleText(html: string): string {
  return html
    .replace(/^.*<body>/s, '')
    .replace(/<[^>]*>/g, ' ')
    .replace(/&(?:amp|lt|gt|quot|#39);/g, (escape) => HTML_ESCAPES[escape] ?? escape)
    .replace(/\s+/g, ' ');
}

/** The tags of an HTML part without their values. */
function skeleton(html: string): string[] {
  return (html.match(/<[^>]*>/g) ?? []).map((tag) => tag.replace(/href="[^"]*"/, 'href=""'));
}

const templates = new MailTemplatesService(SETTINGS);
const render = (mail: MailTemplate, locale: string, values = valuesOf(mail)): Promise<RenderedMail> =>
  templates.render(mail, locale, values);

describe('a mail', () => {
  it.each(ALL)('in %s of %s shows all that it is given, in the text and in the HTML', async (locale, mail) => {
    const { subject, text, html } = await render(mail, locale);
    const shown: Readonly<Record<MailValueName, string>> = {
      ...(VALUES as Readonly<Record<MailValueName, string>>),
      minutes: locale === 'ko' ? '24시간' : '24 hours',
      factor: locale === 'ko' ? '인증 앱' : 'authenticator app',
      at: locale === 'ko' ? '2026년 11월 28일 05:46 UTC' : 'November 28, 2026 at 05:46 UTC',
    };
    const names: readonly MailValueName[] = MAIL_VALUES[mail];
    // The mail about a changed address goes to both, which are in its values.
    const expected = mail === 'email_changed' ? names : [...names, 'email' as const];
    for (const part of [text, visibleText(html)]) {
      expect(expected.filter((name) => !part.includes(shown[name]))).toEqual([]);
      expect(part).toContain('account.example.com');
      expect(part).toContain('Ratchet');
      expect(part).not.toMatch(/undefined|null|NaN|\[object|<%|Invalid/);
    }
    expect(subject).toContain('Ratchet');
    expect(subject).not.toContain(String(VALUES.code));
  });

  it.each(ALL)('in %s of %s says what to do about one that was not asked for, and is small', async (locale, mail) => {
    const { text, html } = await render(mail, locale);
    expect(text).toMatch(
      locale === 'ko' ? /직접 (?:요청|변경|로그인|취소|추가|삭제|사용|시도)하지 않으셨/ : /Was it not you\?/,
    );
    expect(Buffer.byteLength(html)).toBeLessThan(10_000);
    expect(html).toContain(`<html lang="${locale}">`);
  });

  it.each(ALL)('in %s of %s loads nothing from elsewhere and leads nowhere but to its link', async (locale, mail) => {
    const { html } = await render(mail, locale);
    expect(html).not.toMatch(/<(?:img|script|link|iframe|form|object|base)\b|url\(|@import|src=/i);
    const targets = [...html.matchAll(/href="([^"]*)"/g)].map(([, target]) => target);
    expect(targets).toEqual((MAIL_VALUES[mail] as readonly string[]).includes('link') ? [VALUES.link] : []);
  });

  it.each(ALL)('in %s of %s keeps its lines and tags whatever its values are', async (locale, mail) => {
    const plain = await render(mail, locale);
    const hostile = [
      `</p><script>alert(1)</script><img src=x onerror="alert('1')">`,
      `"'><a href="https://evil.example/">`,
      '<%= it.link %> ${process.env.AUTH_SECRET} &lt;b&gt;',
      'x\r\nBcc: eve@evil.example\r\n\r\nYour account ends today:\u2028\u2029\u0085\0https://evil.example/',
      '\u202Eelpmaxe.live\u2066\u200F',
      'ש'.repeat(1_200),
      '<"&\''.repeat(300),
    ];
    for (const value of hostile) {
      const values = { ...VALUES, code: value, link: value, email: value, newEmail: value, oldEmail: value };
      const { subject, text, html } = await render(
        mail,
        locale,
        valuesOf(mail, { ...values, client: value, network: value }),
      );
      expect(subject).toBe(plain.subject);
      expect(text.split('\n')).toHaveLength(plain.text.split('\n').length);
      expect(text.concat(html)).not.toMatch(/[^\P{Cc}\n]|[\p{Zl}\p{Zp}\p{Bidi_Control}]/u);
      expect(skeleton(html)).toEqual(skeleton(plain.html));
      // Everything that a reader can be shown of it is shown as it is.
      const shown = value.replace(/\p{Bidi_Control}/gu, '').replace(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' ');
      expect(text).toContain(shown);
      expect(visibleText(html)).toContain(shown);
    }
  });

  it('has a subject of one line whatever the service is called', async () => {
    const hostile = new MailTemplatesService({ ...SETTINGS, productName: 'R&D\r\nBcc: eve@evil.example\u2028' });
    const { subject, html } = await hostile.render('password_reset', 'en', valuesOf('password_reset'));
    expect(subject).toBe('Choose a new password for R&D Bcc: eve@evil.example');
    expect(html).toContain('<title>Choose a new password for R&amp;D Bcc: eve@evil.example</title>');
  });

  it.each([
    [1, '1 minute', '1분'],
    [10, '10 minutes', '10분'],
    [60, '1 hour', '1시간'],
    [90, '90 minutes', '90분'],
    [119, '119 minutes', '119분'],
    [1_439, '23 hours', '23시간'],
    [4_320, '72 hours', '72시간'],
    [4_260.5, '71 hours', '71시간'],
  ])('says how long %d minutes are in words', async (minutes, english, korean) => {
    const values = valuesOf('password_reset', { ...VALUES, minutes });
    expect((await render('password_reset', 'en', values)).text).toContain(`good for ${english} and`);
    expect((await render('password_reset', 'ko', values)).text).toContain(`링크는 ${korean} 동안`);
  });

  it.each(['factor_added', 'factor_removed'] as const)('%s names a passkey as one', async (mail) => {
    const values = valuesOf(mail, { ...VALUES, factor: 'passkey' });
    for (const [locale, passkey] of [
      ['en', 'A passkey'],
      ['ko', '패스키가'],
    ] as const) {
      const { subject, text, html } = await render(mail, locale, values);
      expect([subject, text, html].filter((part) => !part.includes(passkey))).toEqual([]);
    }
  });

  it('fails, with the template and the name, when a value is missing', async () => {
    const { email, link, minutes } = VALUES;
    await expect(render('registration', 'ko', { email: String(email), link, minutes })).rejects.toThrow(
      'ko/registration.text.txt.eta: this mail has no it.code, only email, link, validFor',
    );
  });

  it.each([
    [undefined, 'ko', 'ko'],
    ['en', 'ko', 'en'],
    ['ko-kr', 'en', 'ko'],
    ['fr', 'ko', 'ko'],
    ['fr', 'ko-KR', 'ko'],
    [undefined, 'en', 'en'],
  ])('of a user with the locale %s where that of the service is %s is in %s', async (own, locale, expected) => {
    const mail = await new MailTemplatesService({ ...SETTINGS, locale }).render(
      'address_taken',
      own,
      valuesOf('address_taken'),
    );
    expect(mail.html).toContain(`<html lang="${expected}">`);
  });
});

describe("an operator's folder of templates", () => {
  const folders: string[] = [];

  function folderOf(files: Readonly<Record<string, string | Buffer>>): string {
    const folder = mkdtempSync(join(tmpdir(), 'ratchet-templates-'));
    folders.push(folder);
    for (const [name, content] of Object.entries(files)) {
      mkdirSync(dirname(join(folder, name)), { recursive: true });
      writeFileSync(join(folder, name), content);
    }
    return folder;
  }

  const over = (templatesDir: string, locale = 'en'): MailTemplatesService =>
    new MailTemplatesService({ ...SETTINGS, templatesDir, locale });

  /** @returns the problems of a folder that is refused */
  async function problemsOf(templatesDir: string): Promise<readonly string[]> {
    const error: unknown = await over(templatesDir)
      .prepare()
      .then(
        () => undefined,
        (reason: unknown) => reason,
      );
    return error instanceof ConfigurationError ? error.problems : [String(error)];
  }

  afterEach(() => {
    for (const folder of folders.splice(0)) {
      rmSync(folder, { recursive: true });
    }
  });

  it('replaces one file and leaves the others', async () => {
    const mails = over(
      folderOf({
        'en/sign_in_code.subject.txt.eta': 'Code for\n<%= it.accountHost %>\n',
        'layout.html.eta': '<html lang="<%= it.locale %>"><h6><%= it.subject %></h6><%~ it.body %></html>',
        'README.md': 'no template',
      }),
    );
    const own = await mails.render('sign_in_code', 'en', valuesOf('sign_in_code'));
    const builtIn = await render('sign_in_code', 'en');
    expect(own.subject).toBe('Code for account.example.com');
    expect(own.text).toBe(builtIn.text);
    expect(own.html).toContain('<html lang="en"><h6>Code for account.example.com</h6><h1>Your code to sign in</h1>');
    expect((await mails.render('sign_in_code', 'ko', valuesOf('sign_in_code'))).html).toContain('<h6>Ratchet 로그인');
  });

  it('adds a language, of which mails without templates are in the language of the service', async () => {
    const mails = over(
      folderOf({
        'pt-br/sign_in_code.subject.txt.eta': 'Código',
        'pt-br/sign_in_code.text.txt.eta': '<%= it.code %> vale por <%= it.validFor %>',
        'pt-br/sign_in_code.html.eta': '<b><%= it.code %></b>',
      }),
      'ko',
    );
    const own = await mails.render('sign_in_code', 'pt-br', valuesOf('sign_in_code', { ...VALUES, minutes: 10 }));
    expect(own.subject).toBe('Código');
    expect(own.text).toMatch(/^04671205 vale por 10 minutos\n/);
    expect(own.html).toContain('<html lang="pt-br">');
    const other = await mails.render('registration', 'pt-br', valuesOf('registration'));
    expect(other.html).toContain('<html lang="ko">');
  });

  it('is found as Kubernetes mounts it, through links', async () => {
    const folder = folderOf({ '..2026_11_28/en/address_taken.subject.txt.eta': 'Mounted' });
    symlinkSync('..2026_11_28', join(folder, '..data'));
    symlinkSync('..data/en', join(folder, 'en'));
    expect((await over(folder).render('address_taken', 'en', valuesOf('address_taken'))).subject).toBe('Mounted');
  });

  it('is refused with every file that does not work, and the line', async () => {
    const problems = await problemsOf(
      folderOf({
        'en/registration.html.eta': '<p>\n<%= it.code %>\n<%= it.link +) %>\n<% if (it.code) { %>\n</p>',
        'en/registration.text.txt.eta': '\n\n<%= it.code',
        'en/registraton.html.eta': '',
        'english/registration.html.eta': '',
        'ko/address_taken.html.eta': Buffer.from([0xff, 0xfe]),
      }),
    );
    expect(problems).toEqual([
      'MAIL_TEMPLATES_DIR: en/registraton.html.eta is no file of a mail',
      'MAIL_TEMPLATES_DIR: english/registration.html.eta is no file of a mail',
      "MAIL_TEMPLATES_DIR: en/registration.html.eta: Unexpected token ')' at line 3",
      'MAIL_TEMPLATES_DIR: en/registration.text.txt.eta: unclosed tag at line 3 col 1',
      'MAIL_TEMPLATES_DIR: ko/address_taken.html.eta cannot be read (not UTF-8 text)',
    ]);
  });

  it('is refused when a template asks for what its mail does not have, or a language has half a mail', async () => {
    const problems = await problemsOf(
      folderOf({
        'en/address_taken.text.txt.eta': 'Hello\n<%= it.code %>',
        'en/sign_in_code.html.eta': '<p>\n<%= ({ a: 1 }).b %>',
        'en/password_reset.html.eta': "<%~ include('other') %>",
        'fr/registration.subject.txt.eta': 'Bonjour',
      }),
    );
    expect(problems).toEqual([
      'MAIL_TEMPLATES_DIR: en/address_taken.text.txt.eta: this mail has no it.code, only email, productName, accountHost, locale at line 2',
      "MAIL_TEMPLATES_DIR: en/password_reset.html.eta: Failed to get template 'other' at line 1",
      'MAIL_TEMPLATES_DIR: en/sign_in_code.html.eta: a value of the type undefined cannot be shown at line 2',
      'MAIL_TEMPLATES_DIR: fr/registration.text.txt.eta is missing',
      'MAIL_TEMPLATES_DIR: fr/registration.html.eta is missing',
    ]);
  });

  it('is refused when it cannot be read, and so is a language of the service without mails', async () => {
    expect(await problemsOf(join(tmpdir(), 'ratchet-no-such-folder'))).toEqual([
      'MAIL_TEMPLATES_DIR: the folder cannot be read (ENOENT)',
    ]);
    await expect(new MailTemplatesService({ ...SETTINGS, locale: 'fr' }).prepare()).rejects.toThrow(
      new ConfigurationError(['MAIL_LOCALE: mails are written in en, ko']),
    );
  });

  it('cannot change what the next template of a mail is given', async () => {
    const mails = over(
      folderOf({ 'en/address_taken.subject.txt.eta': "<% it.email = 'eve@evil.example' %>Hello <%= it.email %>" }),
    );
    const { subject, text } = await mails.render('address_taken', 'en', valuesOf('address_taken'));
    expect(subject).toBe('Hello ada@example.com');
    expect(text).toContain('ada@example.com');
  });
});
