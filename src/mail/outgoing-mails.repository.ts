import { Injectable } from '@nestjs/common';
import type { Connection, PreparedStatement } from '../platform/database/database.service.js';
import type { OutgoingMail } from './mail.types.js';

/** A retry with the same id makes no second row. A mail is due at once. */
const INSERT_MAIL: PreparedStatement = {
  name: 'insert_mail',
  text: `
    insert into outgoing_mails (id, template, recipient, locale, ticket_id, params, created_at, next_attempt_at)
    select $1, $2, $3, $4, $5, $6, at, at from clock_timestamp() as at
    on conflict (id) do nothing`,
};

/** Holds the only SQL on `outgoing_mails`. */
@Injectable()
export class OutgoingMailsRepository {
  async insertMail(connection: Connection, mail: OutgoingMail): Promise<void> {
    await connection.queryPrepared(INSERT_MAIL, [
      mail.id,
      mail.template,
      mail.recipient ?? null,
      mail.locale ?? null,
      mail.ticket?.id ?? null,
      JSON.stringify(mail.params ?? {}),
    ]);
  }
}
