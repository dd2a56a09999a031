import { Writable } from 'node:stream';
import { Logger as NestFacade } from '@nestjs/common';
import { describe, expect, it } from 'vitest';
import { createLogger } from './logger.js';
import { NestLogger } from './nest.logger.js';
import { prettyDestination } from './pretty.destination.js';

const TOKEN = `rt1.${'A'.repeat(92)}`;

function capture(): { readonly lines: string[]; readonly destination: { write(line: string): void } } {
  const lines: string[] = [];
  return { lines, destination: { write: (line) => void lines.push(line) } };
}

describe('createLogger', () => {
  it('the log has one line of JSON per event', () => {
    const { lines, destination } = capture();
    createLogger({ level: 'info', destination }).info({ user_id: 'u1' }, 'two\nlines');
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/^[^\n]*\n$/);
    expect(JSON.parse(lines[0]!)).toEqual({
      level: 'info',
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
      user_id: 'u1',
      msg: 'two\nlines',
    });
  });

  it('the log omits events below its level', () => {
    const { lines, destination } = capture();
    createLogger({ level: 'warn', destination }).info('quiet');
    expect(lines).toEqual([]);
  });

  it('no planted secret reaches the log by any way of logging', () => {
    const { lines, destination } = capture();
    const logger = createLogger({ level: 'trace', destination });
    const failure = new Error(`refused ${TOKEN}`, { cause: { password: 'hunter2' } });

    logger.info({ password: 'hunter2', deep: { list: [{ refresh_token: TOKEN }] } }, `sent ${TOKEN}`);
    logger.child({ authorization: 'hunter2', path: TOKEN }).info('from a child');
    logger.info('interpolated %s and %o', TOKEN, { password: 'hunter2' });
    logger.error(failure);
    logger.error({ err: failure }, 'failed');
    logger.warn({ [TOKEN]: 1 }, 'as a key');
    logger.fatal({ err: Object.assign(new Error('query failed'), { parameters: ['hunter2'] }) });

    expect(lines).toHaveLength(7);
    expect(lines.join('')).not.toMatch(/hunter2|AAAA/);
    lines.forEach((line) => JSON.parse(line) as unknown);
  });
});

describe('NestLogger', () => {
  it('lines of Nest and of our services have the same form, with their owner as context', () => {
    const { lines, destination } = capture();
    NestFacade.overrideLogger(new NestLogger(createLogger({ level: 'debug', destination })));
    const service = new NestFacade('FamiliesService');
    const failure = new Error('no');

    service.log('plain');
    service.warn({ msg: 'structured', family_id: 'f1' });
    service.error('with an error', failure);
    service.error(failure);
    new NestFacade('RouterExplorer').log('Mapped {/auth/login, POST} route');

    const err = { type: 'Error', message: 'no', stack: failure.stack };
    const time = expect.any(String);
    const context = 'FamiliesService';
    expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual([
      { level: 'info', time, context, msg: 'plain' },
      { level: 'warn', time, context, msg: 'structured', family_id: 'f1' },
      { level: 'error', time, context, err, msg: 'with an error' },
      { level: 'error', time, context, err, msg: 'no' },
      { level: 'debug', time, context: 'RouterExplorer', msg: 'Mapped {/auth/login, POST} route' },
    ]);
    NestFacade.overrideLogger(false);
  });
});

describe('prettyDestination', () => {
  it('a terminal gets each event on one short line, without colour where that is off', () => {
    const lines: string[] = [];
    const terminal = new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        lines.push(chunk.toString());
        done();
      },
    });
    const destination = prettyDestination({ colorize: false, destination: terminal });
    const logger = createLogger({ level: 'info', destination });
    logger.info(
      {
        method: 'POST',
        path: '/auth/refresh',
        request_id: '00000000-0000-4000-8000-000000000000',
        ip: '127.0.0.1',
        status: 200,
        duration_ms: 12.3,
      },
      'request',
    );
    logger.info({ context: 'FamiliesService', family_id: 'f1' }, `rotated ${TOKEN}`);

    expect(lines).toEqual([
      expect.stringMatching(/^\[\d\d:\d\d:\d\d\] INFO: POST \/auth\/refresh 200 12\.3 ms\n$/),
      expect.stringMatching(
        /^\[\d\d:\d\d:\d\d\] INFO: \[FamiliesService\] rotated rt1\.\[redacted\] {"family_id":"f1"}\n$/,
      ),
    ]);
  });
});
