import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Clock } from '../platform/common/clock.js';
import { FilesTransport } from './files.transport.js';
import type { DeliverableMail } from './mail-transport.js';

const FROM = { name: 'Ratchet', address: 'ratchet@localhost' };
const MAIL: DeliverableMail = {
  id: '6f1f7a3e-5c0b-4d8e-9a54-0d2f6c1b7e11',
  template: 'email_changed',
  messageId: '<6f1f7a3e-5c0b-4d8e-9a54-0d2f6c1b7e11@localhost>',
  to: 'old@example.com',
  subject: 'Your address was changed',
  text: 'Changed',
  html: '<p>Changed</p>',
};

describe('mails as files', () => {
  it('are two when two of one kind are written in the same millisecond', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'ratchet-mails-'));
    try {
      class StoppedClock extends Clock {
        override now(): Date {
          return new Date(0);
        }
      }
      const transport = new FilesTransport(folder, FROM, new StoppedClock());
      const other = { ...MAIL, id: '7f1f7a3e-5c0b-4d8e-9a54-0d2f6c1b7e11', to: 'new@example.com' };
      await Promise.all([transport.deliver(MAIL), transport.deliver(other)]);
      const names = (await readdir(folder)).sort();
      expect(names).toHaveLength(2);
      const texts = await Promise.all(names.map((name) => readFile(join(folder, name), 'utf8')));
      expect(texts.map((text) => /^To: (.*)$/m.exec(text)?.[1])).toEqual(['old@example.com', 'new@example.com']);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
