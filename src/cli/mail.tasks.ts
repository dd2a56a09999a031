import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isCanonicalUuid } from '../platform/common/uuid.js';
import { readCommandConfig } from './command.config.js';
import { CommandFailedError } from './command.errors.js';
import { mailJson, mailsTable } from './mails.table.js';
import type { WriteAnswer } from './run-command.js';
import type { Services } from './services.js';
import { type Invocation, writeNotice } from './terminal.js';

/** One method per command. Each does the work, reports what it did, and closes what it opened. */
export class MailTasks {
  constructor(
    private readonly invocation: Invocation,
    private readonly writeAnswer: WriteAnswer,
  ) {}

  async list(limit: number): Promise<void> {
    await this.withMails(async ({ mails }) => {
      // One more than is shown, to find out whether there are more.
      const found = await mails.list(limit + 1);
      const shown = found.slice(0, limit);
      this.writeAnswer({
        text: (width) => (shown.length > 0 ? mailsTable(shown, width) : 'Every mail has been sent.'),
        json: shown.map(mailJson),
      });
      if (found.length > shown.length) {
        writeNotice(this.invocation, 'There are more: see --limit.');
      }
    });
  }

  /** @param id undefined for every mail that was given up */
  async retry(id: string | undefined): Promise<void> {
    await this.withMails(async ({ mails }) => {
      const count = id === undefined || isCanonicalUuid(id) ? await mails.retry(id) : 0;
      if (id !== undefined && count === 0) {
        throw new CommandFailedError(`No mail ${id} waits or was given up.`);
      }
      this.writeAnswer({
        text: count === 1 ? '1 mail is due now.' : `${count} mails are due now.`,
        json: { due_mails: count },
      });
    });
  }

  async show(): Promise<void> {
    const folder = join(readCommandConfig(this.invocation).database.dataDir, 'mails');
    const name = (await mailFilesIn(folder)).at(-1);
    if (name === undefined) {
      throw new CommandFailedError(`There is no mail in ${folder}.`);
    }
    const file = join(folder, name);
    const text = textOf(await readFile(file, 'latin1'));
    writeNotice(this.invocation, file);
    this.writeAnswer({ text, json: { file, text } });
  }

  /** The service takes most of a second to load, so help and usage errors do not load it. */
  private async withMails(work: (services: Services) => Promise<void>): Promise<void> {
    const { withServices } = await import('./services.js');
    await withServices(this.invocation, work);
  }
}

/** Their names begin with the time. */
async function mailFilesIn(folder: string): Promise<string[]> {
  try {
    const names = await readdir(folder);
    return names.filter((name) => name.endsWith('.eml')).sort();
  } catch {
    return [];
  }
}

/** The text part of a mail as this service writes it into files: in quoted-printable (RFC 2045 §6.7). */
function textOf(message: string): string {
  const [, body = message] = /^Content-Type: text\/plain[^]*?\n\n([^]*?)\n--/m.exec(message) ?? [];
  const decoded = body
    .replaceAll('=\n', '')
    .replace(/=([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Buffer.from(decoded, 'latin1').toString().trimEnd();
}
