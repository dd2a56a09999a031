import type { MailBook } from './mail-book.js';
import type { MailTemplate, MailTemplateSettings, MailValues, RenderedMail } from './mail-templates.types.js';

/** Writes mails in the language of their reader. The first mail, or `prepare`, loads the template engine and the files. */
export class MailTemplatesService {
  private book: Promise<MailBook> | undefined;

  constructor(private readonly settings: MailTemplateSettings) {}

  /**
   * Compiles every template, and renders each once if there is an operator's folder, so that it is known to work before a mail
   * needs it.
   *
   * @throws ConfigurationError which names every file that does not work, and the line
   */
  async prepare(): Promise<void> {
    await this.load();
  }

  /**
   * Returns a mail in the first of these languages that it has templates in: `locale`, that of the settings, English.
   * Values are shown and never interpreted: none adds a header, a line of text or markup.
   *
   * @param locale what `pickLocale` returned; undefined when the user's is unknown
   * @throws MailTemplateError when a template uses a value that is missing
   */
  async render(template: MailTemplate, locale: string | undefined, values: MailValues): Promise<RenderedMail> {
    return (await this.load()).render(template, locale, values);
  }

  private load(): Promise<MailBook> {
    this.book ??= loadBook(this.settings);
    return this.book;
  }
}

async function loadBook(settings: MailTemplateSettings): Promise<MailBook> {
  const { MailBook } = await import('./mail-book.js');
  return new MailBook(settings);
}
