import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Logger } from '@nestjs/common';
import type { Clock } from '../platform/common/clock.js';
import type { MailConfig } from '../platform/config/config.js';
import { type DeliverableMail, MailTransport } from './mail-transport.js';
import { toMessage } from './message.js';

/** Enough for mails of the same millisecond, which two of one kind can be of. */
const ID_CHARACTERS = 8;

/** Writes each mail into a folder, for development: a file that any mail program opens, and only this user reads. */
export class FilesTransport extends MailTransport {
  private readonly logger = new Logger(FilesTransport.name);

  constructor(
    private readonly folder: string,
    private readonly from: MailConfig['from'],
    private readonly clock: Clock,
  ) {
    super();
  }

  override async deliver(mail: DeliverableMail): Promise<void> {
    const { createTransport } = await import('nodemailer');
    const composer = createTransport({ streamTransport: true, buffer: true, newline: 'unix' });
    const { message } = await composer.sendMail({
      ...toMessage(mail, this.from),
      // Also where a text is mostly of other letters, so that `mails show` reads it.
      textEncoding: 'quoted-printable',
    });
    const time = this.clock.now().toISOString().replace(/[:.]/g, '-');
    const file = join(this.folder, `${time}-${mail.template}-${mail.id.slice(0, ID_CHARACTERS)}.eml`);
    await mkdir(this.folder, { recursive: true, mode: 0o700 });
    await writeFile(file, message as Buffer, { mode: 0o600 });
    // The file, and not what is in it: a link lets in.
    this.logger.log({ event: 'mail_written', msg: 'a mail was written to a file instead of being sent', file });
  }
}
