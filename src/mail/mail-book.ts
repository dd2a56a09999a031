import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { messageOf } from '../platform/common/message-of.js';
import { ConfigurationError } from '../platform/config/config.errors.js';
import { errorCode, readTextFile } from '../platform/config/text-file.js';
import { LOCALE, lookUp } from './locale.js';
import {
  type CompiledTemplate,
  compileTemplate,
  MailTemplateError,
  type TemplateValues,
} from './mail-template.compiler.js';
import {
  MAIL_VALUES,
  type MailTemplate,
  type MailTemplateSettings,
  type MailValues,
  type RenderedMail,
} from './mail-templates.types.js';

/** Beside this module in the sources, in a build and in the bundle. */
const BUILT_IN = fileURLToPath(new URL('./templates', import.meta.url));
const BUILT_IN_LOCALE = 'en';

const LAYOUTS = ['layout.text.txt.eta', 'layout.html.eta'] as const;
const KINDS = ['subject.txt', 'text.txt', 'html'] as const;
const MAILS = Object.keys(MAIL_VALUES) as MailTemplate[];

/** What every template is rendered with once. */
const SAMPLE: MailValues = {
  email: 'ada@example.com',
  code: '12345678',
  link: 'https://example.com/#purpose=token',
  minutes: 30,
  at: '2026-01-31T12:00:00Z',
  newEmail: 'new@example.com',
  oldEmail: 'old@example.com',
  client: 'Firefox, Linux',
  network: '192.0.2.1',
  factor: 'totp',
  left: 9,
};

/** Every mail in every language, compiled. */
export class MailBook {
  /** Path of a file in its folder → template. The operator's replace the built-in ones. */
  private readonly templates = new Map<string, CompiledTemplate>();
  private readonly locales: readonly string[];

  /** @throws ConfigurationError which names every file of the operator's folder that does not work, and the line */
  constructor(private readonly settings: MailTemplateSettings) {
    this.readFolder(BUILT_IN);
    const problems = settings.templatesDir === undefined ? [] : this.readFolder(settings.templatesDir);
    this.locales = [...new Set([...this.templates.keys()].flatMap((file) => /^(.+)\//.exec(file)?.[1] ?? []))];
    if (settings.templatesDir !== undefined && problems.length === 0) {
      problems.push(...this.trial());
    }
    if (lookUp(settings.locale, this.locales) === undefined) {
      throw new ConfigurationError([`MAIL_LOCALE: mails are written in ${this.locales.join(', ')}`]);
    }
    if (problems.length > 0) {
      throw new ConfigurationError(problems.map((problem) => `MAIL_TEMPLATES_DIR: ${problem}`));
    }
  }

  /** @throws MailTemplateError when a template uses a value that is missing */
  render(mail: MailTemplate, locale: string | undefined, values: MailValues): RenderedMail {
    const available = this.locales.filter((each) => this.templates.has(fileOf(each, mail, 'html')));
    const { locale: fallback, productName, accountHost } = this.settings;
    const chosen = lookUp(locale ?? fallback, available) ?? lookUp(fallback, available) ?? BUILT_IN_LOCALE;
    const it = {
      ...readable(values, chosen),
      productName: oneLine(productName),
      accountHost: oneLine(accountHost),
      locale: chosen,
    };
    const subject = oneLine(this.run(fileOf(chosen, mail, 'subject.txt'), it));
    const bodyOf = (kind: 'text.txt' | 'html'): string => {
      const body = this.run(fileOf(chosen, mail, kind), it).trim();
      return `${this.run(`layout.${kind}.eta`, { ...it, subject, body }).trim()}\n`;
    };
    return { subject, text: bodyOf('text.txt'), html: bodyOf('html') };
  }

  private run(file: string, it: TemplateValues): string {
    const template = this.templates.get(file);
    if (template === undefined) {
      throw new MailTemplateError(`${file} is missing`);
    }
    return template(it);
  }

  /** @returns what is wrong with the folder */
  private readFolder(folder: string): string[] {
    const problems: string[] = [];
    for (const file of templatesIn(folder, problems)) {
      const content = readTextFile(join(folder, file));
      try {
        if (content.kind === 'unreadable') {
          throw new MailTemplateError(`${file} cannot be read (${content.reason})`);
        }
        this.templates.set(file, compileTemplate(file, content.text));
      } catch (error) {
        problems.push(messageOf(error));
      }
    }
    return problems;
  }

  /** @returns which mails cannot be rendered, or have some of their files in a language but not all */
  private trial(): string[] {
    return this.locales.flatMap((locale) => MAILS.flatMap((mail) => this.trialOf(locale, mail)));
  }

  private trialOf(locale: string, mail: MailTemplate): string[] {
    const files = KINDS.map((kind) => fileOf(locale, mail, kind));
    const missing = files.filter((file) => !this.templates.has(file));
    if (missing.length > 0) {
      return missing.length === files.length ? [] : missing.map((file) => `${file} is missing`);
    }
    const values = Object.fromEntries(['email' as const, ...MAIL_VALUES[mail]].map((name) => [name, SAMPLE[name]]));
    try {
      this.render(mail, locale, { email: SAMPLE.email, ...values });
      return [];
    } catch (error) {
      return [messageOf(error)];
    }
  }
}

function fileOf(locale: string, mail: MailTemplate, kind: (typeof KINDS)[number]): string {
  return `${locale}/${mail}.${kind}.eta`;
}

/**
 * Lists the `.eta` files of a folder and of the folders in it. Links are followed, and names that begin with a dot passed
 * over: what Kubernetes mounts consists of both.
 *
 * @param problems gets a line for each file that is none of a mail's
 * @returns paths below the folder
 */
function templatesIn(folder: string, problems: string[]): string[] {
  const listed = (below: string): string[] => {
    try {
      return readdirSync(join(folder, below)).filter((name) => !name.startsWith('.'));
    } catch (error) {
      problems.push(`${below || 'the folder'} cannot be read (${errorCode(error)})`);
      return [];
    }
  };
  const isFolder = (name: string): boolean =>
    statSync(join(folder, name), { throwIfNoEntry: false })?.isDirectory() === true;
  const files = listed('')
    .flatMap((name) => (isFolder(name) ? listed(name).map((each) => `${name}/${each}`) : [name]))
    .filter((file) => file.endsWith('.eta'));
  const known = files.filter(isTemplate);
  problems.push(...files.filter((file) => !known.includes(file)).map((file) => `${file} is no file of a mail`));
  return known;
}

function isTemplate(file: string): boolean {
  const [locale = '', name] = file.split('/');
  return name === undefined
    ? LAYOUTS.some((layout) => layout === file)
    : LOCALE.test(locale) && MAILS.some((mail) => KINDS.some((kind) => fileOf(locale, mail, kind) === file));
}

/** Turns `minutes` into `validFor`, such as "72 hours", and `at` into a date; puts everything else on one line. */
function readable({ minutes, at, ...others }: MailValues, locale: string): TemplateValues {
  return {
    ...Object.fromEntries(Object.entries(others).map(([name, value]) => [name, oneLine(String(value))])),
    ...(minutes === undefined ? {} : { validFor: duration(Number(minutes), locale) }),
    ...(at === undefined ? {} : { at: instant(String(at), locale) }),
  };
}

/** Whole hours, rounded down, where a reader would count in them: a mail that was sent late has a little less left. */
function duration(minutes: number, locale: string): string {
  const isInHours = minutes === 60 || minutes >= 120;
  return new Intl.NumberFormat(locale, {
    style: 'unit',
    unit: isInHours ? 'hour' : 'minute',
    unitDisplay: 'long',
    maximumFractionDigits: 0,
  }).format(isInHours ? Math.floor(minutes / 60) : minutes);
}

function instant(at: string, locale: string): string {
  return new Intl.DateTimeFormat(locale, {
    year: 'numeric',
    month: 'long',
    day: 'numeric',
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
    timeZone: 'UTC',
    timeZoneName: 'short',
  }).format(Date.parse(at));
}

/** A line break would add a line to the text, and a character of this kind reorders what stands around it. */
function oneLine(text: string): string {
  return text
    .replace(/\p{Bidi_Control}+/gu, '')
    .replace(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' ')
    .trim();
}
