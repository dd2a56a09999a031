import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { Clock } from '../platform/common/clock.js';
import type { Config } from '../platform/config/config.js';
import { type DueMail, DueMailsRepository } from './due-mails.repository.js';
import { MailTemplatesService } from './mail-templates.service.js';
import { type DeliverableMail, MailTransport } from './mail-transport.js';
import { MailWorkerService } from './mail-worker.service.js';

const UNUSED = undefined as never;

function dueMail(): DueMail {
  return {
    id: randomUUID(),
    template: 'address_taken',
    recipient: 'ada@example.com',
    locale: 'en',
    params: {},
    ticketId: null,
    purpose: null,
    keyId: null,
    lastError: null,
    isExpired: false,
    minutes: null,
  };
}

/** Ten mails are due, and the database fails when it is told of one that was sent. */
class FailingMails extends DueMailsRepository {
  private due = Array.from({ length: 10 }, dueMail);

  constructor() {
    super(UNUSED);
  }

  override claim(): Promise<DueMail[]> {
    return Promise.resolve(this.due.splice(0));
  }

  override markSent(): Promise<void> {
    return Promise.reject(new Error('the database is away'));
  }
}

/** The first mail is taken at once, the others when the test says so. */
class SlowTransport extends MailTransport {
  readonly begun: string[] = [];
  takeTheOthers: () => void = () => undefined;
  private readonly isOpen = new Promise<void>((resolve) => {
    this.takeTheOthers = resolve;
  });

  override async deliver({ id }: DeliverableMail): Promise<void> {
    this.begun.push(id);
    if (this.begun.length > 1) {
      await this.isOpen;
    }
  }
}

describe('a worker that sends mails', () => {
  it('stops when the database fails to record what was sent, and waits for what is on its way', async () => {
    const transport = new SlowTransport();
    const templates = new MailTemplatesService({
      productName: 'Ratchet',
      accountHost: 'example.com',
      locale: 'en',
      templatesDir: undefined,
    });
    const config = { accessTokens: { issuer: 'https://auth.example.com' } } as Config;
    const worker = new MailWorkerService(
      new FailingMails(),
      UNUSED,
      templates,
      transport,
      new Clock(),
      UNUSED,
      UNUSED,
      config,
    );
    let isDone = false;
    const sending = worker.sendDue().then(() => {
      isDone = true;
    });
    await expect.poll(() => transport.begun.length).toBe(2);
    // The failure of the first one has been seen by now.
    await new Promise(setImmediate);
    expect(isDone).toBe(false);
    transport.takeTheOthers();
    await sending;
    expect(transport.begun).toHaveLength(2);
  });
});
