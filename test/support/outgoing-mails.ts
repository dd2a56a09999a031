import { TicketsService } from '../../src/tickets/tickets.service.js';
import { TICKET_FORMS, type Ticket, type TicketForm, type TicketPurpose } from '../../src/tickets/tickets.types.js';
import type { TestDatabase } from './test-database.js';
import type { TestService } from './test-service.js';

export interface OutgoingMail {
  readonly template: string;
  readonly locale: string | null;
  readonly params: Readonly<Record<string, unknown>>;
  /** Of its link; empty when it has none. */
  readonly token: string;
  /** Empty when it has none. */
  readonly code: string;
}

interface MailRow extends Pick<OutgoingMail, 'template' | 'locale' | 'params'> {
  readonly id: string | null;
  readonly purpose: TicketPurpose;
  readonly key_id: number;
}

/** Reads the outbox, and computes from it what the mails say, as what sends them does. */
export class OutgoingMails {
  constructor(
    private readonly database: Pick<TestDatabase, 'sql'>,
    private readonly service: Pick<TestService, 'app'>,
  ) {}

  /** The mails to an address, the oldest first. */
  async to(address: string): Promise<OutgoingMail[]> {
    const rows = await this.database.sql<MailRow>(
      `select template, locale, coalesce(params, '{}') as params, tickets.id, purpose, key_id
       from outgoing_mails left join tickets on tickets.id = ticket_id
       where recipient = $1 order by outgoing_mails.created_at`,
      [address],
    );
    return rows.map(({ template, locale, params, id, purpose, key_id: keyId }) => ({
      template,
      locale,
      params,
      ...(id === null ? { token: '', code: '' } : this.secretsOf({ id, purpose, keyId })),
    }));
  }

  async templatesTo(address: string): Promise<string[]> {
    return (await this.to(address)).map(({ template }) => template);
  }

  /** The latest mail of a template to an address, which has to be there. */
  async last(address: string, template: string): Promise<OutgoingMail> {
    const mail = (await this.to(address)).findLast((each) => each.template === template);
    if (mail === undefined) {
      throw new Error(`no mail ${template} to ${address}`);
    }
    return mail;
  }

  private secretsOf(ticket: Ticket): Pick<OutgoingMail, 'token' | 'code'> {
    const tickets = this.service.app.get(TicketsService, { strict: false });
    const forms = (Object.keys(TICKET_FORMS) as TicketForm[]).filter(
      (form) => TICKET_FORMS[form].purpose === ticket.purpose,
    );
    const link = forms.find((form) => TICKET_FORMS[form].needs === 'nothing')!;
    return {
      token: tickets.tokenOf(ticket, link),
      code: forms.length > 1 ? tickets.codeOf(ticket as Ticket<'email_change'>) : '',
    };
  }
}

/** Eight digits that are not the code. */
export function otherThan(code: string): string {
  return `${code.startsWith('1') ? '2' : '1'}${code.slice(1)}`;
}
