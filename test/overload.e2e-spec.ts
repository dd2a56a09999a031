import { availableParallelism } from 'node:os';
import { describe, expect, it } from 'vitest';
import { PasswordHasherService } from '../src/users/password-hasher.service.js';
import type { Applicant } from '../src/users/users.types.js';
import { expectProblem } from './support/problem.js';
import { newEmail, newPassword } from './support/test-client.js';
import { useService } from './support/use-service.js';

const CORES = Math.min(availableParallelism(), 16);

/** A few less than the hasher runs and queues, which grows with the machine up to sixteen cores. */
const HASHES = CORES * 125;

/** More than that. */
const TOO_MANY_HASHES = CORES * 150;

/** More than there is room for, with those that are hashed while they arrive. */
const LOGINS = 150;

describe('more logins at once than can be hashed', () => {
  const { service } = useService({ RATE_LIMITS: 'off', PASSWORD_HASH_COST: 'full' });

  it('are answered with 503 and a time to come back beyond a bounded queue, and the service goes on', async () => {
    const account = await service.client.signUp();
    const hasher = service.app.get(PasswordHasherService);
    const here: Applicant = { networks: ['127.0.0.1'], hasGone: () => false };
    const hashes = Array.from({ length: HASHES }, () => hasher.hash(Buffer.from(newPassword()), here));
    const answers = await Promise.all(
      Array.from({ length: LOGINS }, () => service.client.login({ email: newEmail(), password: newPassword() })),
    );
    // Those whose client has gone wait in the queue as well, and cost nothing.
    const more = Array.from({ length: TOO_MANY_HASHES }, () =>
      hasher.hash(Buffer.from(newPassword()), { ...here, hasGone: () => true }),
    );
    const refusals = (await Promise.allSettled(more)).map((hash) => String((hash as PromiseRejectedResult).reason));
    expect(refusals.filter((reason) => reason.includes('are waiting already')).length).toBeGreaterThan(0);
    await Promise.all(hashes);
    const refused = answers.filter(({ status }) => status === 503);
    const judged = answers.filter(({ status }) => status !== 503);
    expect(refused.length).toBeGreaterThan(0);
    expect(judged.length).toBeGreaterThan(0);
    for (const answer of refused) {
      expectProblem(answer, 'overloaded');
      expect(answer.headers['retry-after']).toBe('1');
    }
    for (const answer of judged) {
      expectProblem(answer, 'invalid_credentials');
    }
    expect((await service.client.signIn(account)).token_type).toBe('Bearer');
    // Hashing gets a tenth of a core where everything else is busy.
  }, 180_000);
});
