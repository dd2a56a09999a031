import { Pool } from 'pg';
import { describe, expect, it } from 'vitest';
import { Clock } from '../common/clock.js';
import { DomainError, NotFoundError, OverloadedError, TemporarilyUnavailableError } from '../common/domain.errors.js';
import { ConnectionLostError } from './database.errors.js';
import { DatabaseService } from './database.service.js';

/** Has a code of its own choice, as errors outside this folder do. */
class DroppedError extends DomainError {
  readonly code = 'temporarily_unavailable';
}

describe('settling an attempt', () => {
  const database = new DatabaseService(new Pool(), new Clock(), { canPrepare: true });

  /** Settles an attempt that fails with these errors, one after the other, and then succeeds. */
  async function settle(...errors: readonly Error[]): Promise<readonly boolean[]> {
    const left = [...errors];
    const runs: boolean[] = [];
    await database.settle((isRetry) => {
      runs.push(isRetry);
      const error = left.shift();
      return error === undefined ? Promise.resolve() : Promise.reject(error);
    });
    return runs;
  }

  it('runs it again while its outcome is unknown, also when a queue is full meanwhile', async () => {
    const lost = new ConnectionLostError(new Error('gone'));
    expect(await settle(lost, new OverloadedError(), new TemporarilyUnavailableError(), lost)).toEqual([
      ...[false, true, true, true, true],
    ]);
  });

  it('passes on the failure of a first attempt, whose outcome is known', async () => {
    for (const error of [new OverloadedError(), new TemporarilyUnavailableError(), new DroppedError()]) {
      await expect(settle(error)).rejects.toBe(error);
    }
  });

  it('says of a retry never that nothing was done', async () => {
    const lost = new ConnectionLostError(new Error('gone'));
    await expect(settle(lost, new DroppedError())).rejects.toMatchObject({ code: 'outcome_unknown' });
    await expect(settle(lost, new NotFoundError())).rejects.toMatchObject({ code: 'not_found' });
  });
});
