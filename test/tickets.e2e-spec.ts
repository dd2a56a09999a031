import { beforeEach, describe, expect, it } from 'vitest';
import { createHmac, randomBytes, randomUUID } from 'node:crypto';
import { AccountsService } from '../src/auth/accounts/accounts.service.js';
import { SignInsService } from '../src/auth/sessions/sign-ins.service.js';
import { DatabaseService } from '../src/platform/database/database.service.js';
import { encodeTicketToken } from '../src/tickets/ticket.codec.js';
import { CodeInvalidError, TicketInvalidError } from '../src/tickets/tickets.errors.js';
import { TICKET_FORMS, type Ticket, type TicketForm, type TicketVerdict } from '../src/tickets/tickets.types.js';
import { TombstoneCleanerService } from '../src/tokens/tombstone-cleaner.service.js';
import { UsersService } from '../src/users/users.service.js';
import { eventually } from './support/eventually.js';
import { holdLock } from './support/held-lock.js';
import { expectProblem } from './support/problem.js';
import type { Cut } from './support/postgres-proxy.js';
import { recordStatements } from './support/statement-log.js';
import { COMMIT } from './support/statements.js';
import { type Account, newPassword } from './support/test-client.js';
import { createTestDatabase, type TestDatabase } from './support/test-database.js';
import { serverKeyOf } from './support/test-family.js';
import { AUTH_SECRET, startService, type TestService } from './support/test-service.js';
import { type Presentation, TICKETS_ON, TicketDesk } from './support/ticket-desk.js';
import { useDatabase, useInstance, useProxy } from './support/use-service.js';

const FORMS = Object.keys(TICKET_FORMS) as TicketForm[];
const OTHER_SECRET = 'auth-secret-to-come-of-the-tests-Hn5Wd8Qx2Vk7Zr3M';

interface TicketRow {
  readonly id: string;
  readonly attempts: number;
  readonly is_consumed: boolean;
  readonly consumed_by: string | null;
}

async function rowOf(database: Pick<TestDatabase, 'sql'>, { id }: Pick<Ticket, 'id'>): Promise<TicketRow | undefined> {
  const [row] = await database.sql<TicketRow>(
    'select id, attempts, consumed_at is not null as is_consumed, consumed_by from tickets where id = $1',
    [id],
  );
  return row;
}

/** Makes a ticket look as if it had been issued that much earlier. */
async function age(database: Pick<TestDatabase, 'sql'>, { id }: Pick<Ticket, 'id'>, bySeconds: number): Promise<void> {
  await database.sql(
    `update tickets
     set created_at = created_at - make_interval(secs => $2), expires_at = expires_at - make_interval(secs => $2)
     where id = $1`,
    [id, bySeconds],
  );
}

/** How often each verdict was given, a refusal by its reason. */
function tally(verdicts: readonly TicketVerdict[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const verdict of verdicts) {
    const what = verdict.kind === 'refused' ? verdict.reason : verdict.kind;
    counts[what] = (counts[what] ?? 0) + 1;
  }
  return counts;
}

const times = <T>(count: number, make: (index: number) => T): T[] => Array.from({ length: count }, (_, i) => make(i));

describe('a ticket', () => {
  const database = useDatabase();
  const proxy = useProxy(database);
  const service = useInstance(proxy, TICKETS_ON);
  const others = [useInstance(database, TICKETS_ON), useInstance(database, TICKETS_ON)];
  const desk = new TicketDesk(service);
  const desks = [desk, ...others.map((each) => new TicketDesk(each))];

  const deskOf = (index: number): TicketDesk => desks[index % desks.length]!;

  beforeEach(() => {
    proxy.cutWhen(() => undefined);
    proxy.cuts = 0;
  });

  /** Presents a right token, and the right code where one is needed. */
  function use(ticket: Ticket, form: TicketForm, presentation: Presentation = {}, at = desk): Promise<TicketVerdict> {
    const token = at.tickets.tokenOf(ticket, form);
    const { needs } = TICKET_FORMS[form];
    const code = needs === 'code' ? at.tickets.codeOf(ticket as Ticket<'sign_in_code'>) : 'right';
    return at.present(form, token, { code, ...presentation });
  }

  function wrongCodeFor(ticket: Ticket<'sign_in_code'>): string {
    const first = desk.tickets.codeOf(ticket).startsWith('1') ? '2' : '1';
    return `${first}${desk.tickets.codeOf(ticket).slice(1)}`;
  }

  describe('invariant 10: is consumed at most once', () => {
    it.each(['pr1', 'sc1'] as const)(
      'by 50 presentations as %s over three instances, for a user and for none',
      async (form) => {
        const { id: userId, email } = await service.client.signUp();
        for (const contents of [{ userId }, { email }]) {
          const ticket = await desk.issue(TICKET_FORMS[form].purpose, { ...contents, data: { step: 1 } });
          const verdicts = await Promise.all(times(50, (index) => use(ticket, form, {}, deskOf(index))));
          expect(tally(verdicts)).toEqual({ consumed: 1, used: 49 });
          expect(verdicts.find(({ kind }) => kind === 'consumed')).toEqual({
            kind: 'consumed',
            contents: {
              userId: undefined,
              email: undefined,
              ...contents,
              data: { step: 1 },
              issuedAt: expect.any(Date) as Date,
            },
          });
        }
      },
    );

    it.each(FORMS)('as %s, which two instances are shown together', async (form) => {
      const ticket = await desk.issue(TICKET_FORMS[form].purpose);
      const verdicts = await Promise.all(times(6, (index) => use(ticket, form, {}, deskOf(index))));
      expect(tally(verdicts)).toEqual({ consumed: 1, used: 5 });
    });

    it('when both of its tokens are presented together', async () => {
      const ticket = await desk.issue('sign_in_code', { email: 'ada@example.com' });
      const verdicts = await Promise.all(
        times(20, (index) => use(ticket, index % 2 ? 'sc1' : 'sl1', {}, deskOf(index))),
      );
      expect(tally(verdicts)).toEqual({ consumed: 1, used: 19 });
    });

    it('and its effect happens in the same commit', async () => {
      const account = await service.client.signUp();
      const ticket = await desk.issue('password_reset', { userId: account.id });
      const passwords = times(6, () => newPassword());
      const hashes = await Promise.all(
        passwords.map((password) => service.app.get(UsersService).hashNewPassword(password)),
      );
      const verdicts = await Promise.all(
        hashes.map((hash, index) =>
          use(
            ticket,
            'pr1',
            {
              effect: async (transaction) => {
                await service.app.get(UsersService).setPassword(transaction, account.id, hash);
              },
            },
            deskOf(index),
          ),
        ),
      );
      const winner = verdicts.findIndex(({ kind }) => kind === 'consumed');
      expect(tally(verdicts)).toEqual({ consumed: 1, used: 5 });
      await service.client.signIn({ email: account.email, password: passwords[winner]! });
    });

    it('and an effect that fails leaves it as good as it was', async () => {
      const ticket = await desk.issue('exchange');
      const failing = use(ticket, 'xc1', { effect: () => Promise.reject(new Error('no room')) });
      await expect(failing).rejects.toThrow('no room');
      expect(tally([await use(ticket, 'xc1')])).toEqual({ consumed: 1 });
    });
  });

  describe('answers the retry of the request that consumed it', () => {
    it('with the same contents on every instance, and every other request with a refusal', async () => {
      const ticket = await desk.issue('oidc_flow', { data: { return_to: 'https://app.example.test/' } });
      const attemptId = randomUUID();
      const first = await use(ticket, 'of1', { attemptId });
      for (const at of desks) {
        expect(await use(ticket, 'of1', { attemptId }, at)).toEqual({ ...first, kind: 'consumed before' });
        expect(await use(ticket, 'of1', {}, at)).toEqual({ kind: 'refused', reason: 'used' });
      }
    });

    it('also when it has expired since, and when the attempt itself has changed the credentials', async () => {
      const { id: userId } = await service.client.signUp();
      const ticket = await desk.issue('password_reset', { userId });
      const attemptId = randomUUID();
      await use(ticket, 'pr1', { attemptId });
      await database.sql('update users set credential_version = credential_version + 1 where id = $1', [userId]);
      await age(database, ticket, 1_801);
      expect(tally([await use(ticket, 'pr1', { attemptId })])).toEqual({ 'consumed before': 1 });
      expect(tally([await use(ticket, 'pr1')])).toEqual({ used: 1 });
    });

    it.each<{ readonly cut: Cut; readonly count: number }>([
      { cut: 'after', count: 1 },
      { cut: 'after', count: 3 },
      { cut: 'before', count: 2 },
    ])('whose commit was cut $count times right $cut it, and has consumed it once', async ({ cut, count }) => {
      const account = await service.client.signUp();
      const ticket = await desk.issue('password_reset', { userId: account.id, data: { step: 1 } });
      const password = newPassword();
      const hash = await service.app.get(UsersService).hashNewPassword(password);
      const attemptId = randomUUID();
      let effects = 0;
      proxy.cutNext(COMMIT, cut, count);
      const verdict = await use(ticket, 'pr1', {
        attemptId,
        effect: async (transaction) => {
          effects += 1;
          await service.app.get(UsersService).setPassword(transaction, account.id, hash);
        },
      });
      expect(proxy.cuts).toBe(count);
      expect(desk.tickets.requireConsumed(verdict)).toEqual({
        userId: account.id,
        email: undefined,
        data: { step: 1 },
        issuedAt: expect.any(Date) as Date,
      });
      // What has been committed is not done again.
      expect([verdict.kind, effects]).toEqual(cut === 'after' ? ['consumed before', 1] : ['consumed', 3]);
      expect(await rowOf(database, ticket)).toMatchObject({ is_consumed: true, consumed_by: attemptId });
      expect(await database.sql('select credential_version from users where id = $1', [account.id])).toEqual([
        { credential_version: 2 },
      ]);
      expect(tally([await use(ticket, 'pr1')])).toEqual({ used: 1 });
      await service.client.signIn({ email: account.email, password });
    });

    it('whose statement was cut, and has consumed it once', async () => {
      const ticket = await desk.issue('exchange');
      proxy.cutNext(/^\s*with locked as materialized \(\s*select \* from tickets/, 'after');
      expect(tally([await use(ticket, 'xc1')])).toEqual({ consumed: 1 });
      expect(proxy.cuts).toBe(1);
      expect(tally([await use(ticket, 'xc1')])).toEqual({ used: 1 });
    });

    it('whose wrong code was counted, and never takes it for right', async () => {
      const ticket = await desk.issue('sign_in_code');
      proxy.cutNext(COMMIT, 'after');
      expect(tally([await use(ticket, 'sc1', { code: wrongCodeFor(ticket) })])).toEqual({ unproven: 1 });
      expect(await rowOf(database, ticket)).toMatchObject({ attempts: 2, is_consumed: false });
    });
  });

  it('is issued once, although the commit of it was cut', async () => {
    const { id: userId } = await service.client.signUp();
    proxy.cutNext(COMMIT, 'after');
    const ticket = await desk.issue('password_reset', { userId });
    expect(await database.sql('select id from tickets where user_id = $1', [userId])).toEqual([{ id: ticket.id }]);
  });

  it('lives for the time of its purpose, by the clock of the database', async () => {
    const pairs = FORMS.map((form) => [form, TICKET_FORMS[form].purpose] as const);
    const lifetimes = new Map<string, number>();
    for (const [form, purpose] of pairs) {
      const ticket = await desk.issue(purpose);
      const [row] = await database.sql<{ seconds: number }>(
        `select extract(epoch from expires_at - created_at)::float8 as seconds from tickets
         where id = $1 and created_at between clock_timestamp() - interval '10 seconds' and clock_timestamp()`,
        [ticket.id],
      );
      lifetimes.set(form, row!.seconds);
      await age(database, ticket, row!.seconds - 5);
      const other = await desk.issue(purpose);
      await age(database, other, row!.seconds);
      expect([form, tally([await use(ticket, form), await use(other, form)])]).toEqual([
        form,
        { consumed: 1, expired: 1 },
      ]);
    }
    expect(Object.fromEntries(lifetimes)).toEqual({
      ...{ lg1: 300, wa1: 300, rg1: 86_400, rl1: 86_400, pr1: 1_800, ec1: 3_600, el1: 3_600, eu1: 259_200 },
      ...{ ev1: 3_600, vl1: 3_600, sc1: 600, sl1: 600, of1: 600, xc1: 60, lk1: 600 },
    });
  });

  describe('of one form', () => {
    it('invariants 9 and 10: passes for no other, and a token that does not pass costs no query', async () => {
      const tokens = await Promise.all(
        FORMS.map(async (form) => {
          const ticket = await desk.issue(TICKET_FORMS[form].purpose);
          return [form, desk.tickets.tokenOf(ticket, form)] as const;
        }),
      );
      const { pair } = await service.client.signUpAndIn();
      const statements = recordStatements(proxy);
      for (const [issued, token] of tokens) {
        for (const asked of FORMS.filter((form) => form !== issued)) {
          const relabelled = `${asked}${token.slice(3)}`;
          await expect(desk.present(asked, token)).rejects.toThrow(TicketInvalidError);
          await expect(desk.present(asked, relabelled)).rejects.toThrow(TicketInvalidError);
        }
        // Nor does it pass for any other kind of token.
        expectProblem(await service.client.refresh(token.replace(/^.../, 'rt1')), 'refresh_token_invalid');
        expectProblem(await service.client.me(token), 'access_token_invalid');
      }
      const rubbish = ['', 'pr1.', `pr1.${'A'.repeat(66)}`, 'x'.repeat(10_000), pair.refresh_token, pair.access_token];
      for (const token of [...rubbish, `pr1.${pair.refresh_token.slice(4)}`]) {
        await expect(desk.present('pr1', token)).rejects.toThrow(TicketInvalidError);
      }
      expect(statements).toEqual([]);
      const verdicts = await Promise.all(tokens.map(([form, token]) => desk.present(form, token, { code: 'neither' })));
      expect(tally(verdicts)).toEqual({ consumed: 10, unproven: 5 });
    });

    it('is not another one to a thief of AUTH_SECRET who has seen its id', async () => {
      const { ticketMacKey } = serverKeyOf(AUTH_SECRET);
      const ticket = await desk.issue('webauthn');
      for (const form of FORMS.filter((each) => each !== 'wa1')) {
        const forged = encodeTicketToken(form, ticket, ticketMacKey);
        expect(await desk.present(form, forged, { code: 'right' })).toEqual({ kind: 'refused', reason: 'unknown' });
      }
      expect(tally([await use(ticket, 'wa1')])).toEqual({ consumed: 1 });
    });
  });

  it('is not forged from a dump of the table, nor from the secret without one', async () => {
    const { id: userId, email } = await service.client.signUp();
    const tickets = await Promise.all(
      FORMS.map(async (form) => [form, await desk.issue(TICKET_FORMS[form].purpose, { userId, email })] as const),
    );
    const dump = await database.sql<{ line: string }>('select tickets::text as line from tickets');
    const text = dump.map(({ line }) => line).join('\n');
    const statements = recordStatements(proxy);
    for (const [form, ticket] of tickets) {
      expect(text).toContain(ticket.id);
      const token = desk.tickets.tokenOf(ticket, form);
      const tag = Buffer.from(token.slice(4), 'base64url').subarray(17);
      const code = desk.tickets.codeOf(ticket as Ticket<'sign_in_code'>);
      const challenge = desk.tickets.derive(ticket, 'webauthn challenge');
      for (const secret of [token, tag.toString('hex'), tag.toString('base64url'), code, challenge.toString('hex')]) {
        expect(text).not.toContain(secret);
      }
      // What the thief of a dump has: the parts of the token, and no key.
      const guesses = [
        Buffer.alloc(32),
        Buffer.from(ticket.id),
        randomBytes(32),
        serverKeyOf(OTHER_SECRET).ticketMacKey,
      ];
      for (const guess of guesses) {
        await expect(desk.present(form, encodeTicketToken(form, ticket, guess))).rejects.toThrow(TicketInvalidError);
      }
    }
    expect(statements).toEqual([]);
    // And what the thief of the secret has: a tag that holds, and no id.
    const { id: keyId, ticketMacKey } = serverKeyOf(AUTH_SECRET);
    const forged = encodeTicketToken('pr1', { keyId, id: randomUUID() }, ticketMacKey);
    expect(await desk.present('pr1', forged)).toEqual({ kind: 'refused', reason: 'unknown' });
  });

  it('has challenges, verifiers and nonces that are the same on every instance and never equal', async () => {
    const [ticket, other] = [await desk.issue('oidc_flow'), await desk.issue('oidc_flow')];
    const derivations = ['webauthn challenge', 'pkce verifier', 'oidc nonce'] as const;
    const seen = new Set<string>();
    for (const derivation of derivations) {
      const values = desks.map(({ tickets }) => tickets.derive(ticket, derivation).toString('hex'));
      expect(new Set(values).size).toBe(1);
      seen.add(values[0]!).add(desk.tickets.derive(other, derivation).toString('hex'));
    }
    expect(seen.size).toBe(6);
  });

  describe("and its user's credentials", () => {
    it.each(FORMS)('%s is superseded by a password change, unless it is there to undo one', async (form) => {
      const { id: userId } = await service.client.signUp();
      const ticket = await desk.issue(TICKET_FORMS[form].purpose, { userId });
      await service.app.get(AccountsService).setPassword(userId, newPassword());
      expect(tally([await use(ticket, form)])).toEqual(form === 'eu1' ? { consumed: 1 } : { superseded: 1 });
    });

    it('keeps a ticket from another user, and from a user who is gone', async () => {
      const [ada, bob] = [await service.client.signUp(), await service.client.signUp()];
      const ticket = await desk.issue('password_reset', { userId: ada.id });
      const presented = desk.tickets.identify('pr1', desk.tickets.tokenOf(ticket, 'pr1'));
      const database = service.app.get(DatabaseService);
      for (const user of [{ id: bob.id, credentialVersion: 1 }, undefined]) {
        const verdict = await database.transaction((transaction) =>
          desk.tickets.consume(transaction, presented, { attemptId: randomUUID(), user }),
        );
        expect(verdict).toEqual({ kind: 'refused', reason: 'unknown' });
      }
      await service.app.get(AccountsService).delete(ada.id);
      expect(tally([await use(ticket, 'pr1')])).toEqual({ unknown: 1 });
    });

    const USER_ROW = 'select 1 from users where id = $1 for update';

    it('a password change that commits first leaves nothing to a ticket that waited for it', async () => {
      const { id: userId } = await service.client.signUp();
      const ticket = await desk.issue('second_factor', { userId });
      const lock = await holdLock(database, USER_ROW, [userId]);
      const change = service.app.get(AccountsService).setPassword(userId, newPassword());
      await lock.untilWaiting(1);
      const presentation = use(ticket, 'lg1');
      await lock.untilWaiting(2);
      await lock.release();
      await change;
      expect(await presentation).toEqual({ kind: 'refused', reason: 'superseded' });
    });

    it('invariant 4: a session that a ticket opened is ended by a password change that waited for it', async () => {
      const account = await service.client.signUp();
      const ticket = await desk.issue('second_factor', { userId: account.id });
      const signIn = service.app.get(SignInsService).newSignIn(account.id);
      const client = { ipAddress: undefined, userAgent: undefined };
      const lock = await holdLock(database, USER_ROW, [account.id]);
      const presentation = use(ticket, 'lg1', {
        effect: async (transaction, user) => {
          await service.app.get(SignInsService).open(transaction, user!, ['pwd', 'otp', 'mfa'], { ...signIn, client });
        },
      });
      await lock.untilWaiting(1);
      const change = service.app.get(AccountsService).setPassword(account.id, newPassword());
      await lock.untilWaiting(2);
      await lock.release();
      expect(tally([await presentation])).toEqual({ consumed: 1 });
      expect(await change).toBe(1);
      expect(
        await database.sql('select revoke_reason from refresh_token_families where id = $1', [signIn.family.id]),
      ).toEqual([{ revoke_reason: 'password_changed' }]);
    });
  });

  describe('among the tickets of its user', () => {
    let user: Account;

    beforeEach(async () => {
      user = await service.client.signUp();
    });

    it('stays good when another one is asked for: the first of three mails works', async () => {
      const [first] = [
        await desk.issue('password_reset', { userId: user.id }),
        await desk.issue('password_reset', { userId: user.id }),
        await desk.issue('password_reset', { userId: user.id }),
      ];
      expect(tally([await use(first, 'pr1')])).toEqual({ consumed: 1 });
    });

    it('takes those of its purpose with it, and no other', async () => {
      const other = await service.client.signUp();
      const [used, ...siblings] = [
        await desk.issue('password_reset', { userId: user.id }),
        await desk.issue('password_reset', { userId: user.id }),
        await desk.issue('password_reset', { userId: user.id }),
      ];
      const rest = [
        [await desk.issue('second_factor', { userId: user.id }), 'lg1'],
        [await desk.issue('password_reset', { userId: other.id }), 'pr1'],
        [await desk.issue('password_reset', { email: user.email }), 'pr1'],
      ] as const;
      const attemptId = randomUUID();
      await use(used, 'pr1', { attemptId });
      for (const sibling of siblings) {
        // Also with the attempt that consumed it: no retry revives a sibling.
        expect(await use(sibling, 'pr1', { attemptId })).toEqual({ kind: 'refused', reason: 'used' });
        expect(await rowOf(database, sibling)).toMatchObject({ is_consumed: true, consumed_by: null });
      }
      for (const [ticket, form] of rest) {
        expect(tally([await use(ticket, form)])).toEqual({ consumed: 1 });
      }
    });

    it('takes only the later ones with it when it undoes a change, so that an earlier undo outlives it', async () => {
      const [first, second, third] = [
        await desk.issue('email_change_undo', { userId: user.id }),
        await desk.issue('email_change_undo', { userId: user.id }),
        await desk.issue('email_change_undo', { userId: user.id }),
      ];
      expect(tally([await use(second, 'eu1'), await use(third, 'eu1')])).toEqual({ consumed: 1, used: 1 });
      expect(tally([await use(first, 'eu1')])).toEqual({ consumed: 1 });
    });

    it('is the only one consumed of 30 that are presented at once on three instances', async () => {
      const tickets = await Promise.all(times(30, () => desk.issue('sign_in_code', { userId: user.id })));
      const verdicts = await Promise.all(tickets.map((each, index) => use(each, 'sc1', {}, deskOf(index))));
      expect(tally(verdicts)).toEqual({ consumed: 1, used: 29 });
    });

    it('leaves one that was asked for afterwards, also when its own retry comes later still', async () => {
      const used = await desk.issue('password_reset', { userId: user.id });
      const attemptId = randomUUID();
      await use(used, 'pr1', { attemptId });
      const later = await desk.issue('password_reset', { userId: user.id });
      expect(tally([await use(used, 'pr1', { attemptId })])).toEqual({ 'consumed before': 1 });
      expect(tally([await use(later, 'pr1')])).toEqual({ consumed: 1 });
    });

    it('takes none with it when it is refused or its code is wrong', async () => {
      const [first, second] = [
        await desk.issue('sign_in_code', { userId: user.id }),
        await desk.issue('sign_in_code', { userId: user.id }),
      ];
      await use(first, 'sc1', { code: wrongCodeFor(first) });
      await age(database, first, 601);
      await use(first, 'sc1');
      expect(tally([await use(second, 'sc1')])).toEqual({ consumed: 1 });
    });
  });

  describe('with a typed code', () => {
    it('outlives four wrong ones and takes the right one then, from any instance', async () => {
      const ticket = await desk.issue('sign_in_code');
      for (const at of [...desks, desk]) {
        const verdict = await use(ticket, 'sc1', { code: wrongCodeFor(ticket) }, at);
        expect(() => desk.tickets.requireConsumed(verdict)).toThrow(CodeInvalidError);
      }
      expect(tally([await use(ticket, 'sc1', {}, deskOf(2))])).toEqual({ consumed: 1 });
    });

    it.each(['lg1', 'rg1', 'ec1', 'ev1', 'sc1'] as const)(
      'or a factor, as %s: 50 wrong ones over three instances are judged five times, and then it is dead',
      async (form) => {
        const ticket = await desk.issue(TICKET_FORMS[form].purpose);
        const code = form === 'lg1' ? 'wrong' : wrongCodeFor(ticket as Ticket<'sign_in_code'>);
        const verdicts = await Promise.all(times(50, (index) => use(ticket, form, { code }, deskOf(index))));
        expect(tally(verdicts)).toEqual({ unproven: 5, exhausted: 45 });
        expect(await rowOf(database, ticket)).toMatchObject({ attempts: 5, is_consumed: false });
        // The right one is refused like a wrong one, so that it tells nothing.
        const verdict = await use(ticket, form);
        expect(verdict).toEqual({ kind: 'refused', reason: 'exhausted' });
        expect(() => desk.tickets.requireConsumed(verdict)).toThrow(TicketInvalidError);
      },
    );

    it('takes the right one at most once, and five wrong ones at most, in whatever order both come', async () => {
      for (let round = 0; round < 5; round += 1) {
        const ticket = await desk.issue('sign_in_code');
        const verdicts = await Promise.all(
          times(24, (index) =>
            use(ticket, 'sc1', index % 4 === 3 ? {} : { code: wrongCodeFor(ticket) }, deskOf(index)),
          ),
        );
        const { consumed = 0, unproven = 0, used = 0, exhausted = 0 } = tally(verdicts);
        expect(consumed + unproven + used + exhausted).toBe(24);
        // Either the right one came before the fifth wrong one, or it came too late.
        expect([consumed, unproven === 5, exhausted > 0]).toEqual(consumed === 1 ? [1, false, false] : [0, true, true]);
        expect(unproven).toBeLessThanOrEqual(5);
      }
    });

    it('is dead by its link as well, and used up by it', async () => {
      const [guessed, clicked] = [await desk.issue('sign_in_code'), await desk.issue('sign_in_code')];
      for (let count = 0; count < 5; count += 1) {
        await use(guessed, 'sc1', { code: wrongCodeFor(guessed) });
      }
      expect(tally([await use(guessed, 'sl1')])).toEqual({ exhausted: 1 });
      expect(tally([await use(clicked, 'sl1'), await use(clicked, 'sc1')])).toEqual({ consumed: 1, used: 1 });
    });
  });

  it('is consumed while sessions of its user begin and end, without a deadlock or an error', async () => {
    for (let round = 0; round < 4; round += 1) {
      const account = await service.client.signUpAndIn();
      const tickets = await Promise.all(times(6, () => desk.issue('second_factor', { userId: account.id })));
      const client = { ipAddress: undefined, userAgent: undefined };
      const open: Presentation = {
        code: 'right',
        effect: async (transaction, user) => {
          const signIns = service.app.get(SignInsService);
          await signIns.open(transaction, user!, [], { ...signIns.newSignIn(account.id), client });
        },
      };
      const work: Promise<unknown>[] = tickets.map((ticket, index) => use(ticket, 'lg1', open, deskOf(index)));
      work.push(
        ...times(4, (index) =>
          desk.issue('second_factor', { userId: account.id }).then((ticket) => use(ticket, 'lg1', open, deskOf(index))),
        ),
        service.client.login(account),
        service.app.get(AccountsService).setPassword(account.id, newPassword()),
        others[0]!.client.logoutAll(account.pair.access_token),
        others[1]!.app.get(TombstoneCleanerService).clean(),
      );
      await Promise.all(work);
    }
    const [statistics] = await database.sql(
      'select deadlocks::integer from pg_stat_database where datname = current_database()',
    );
    expect(statistics).toEqual({ deadlocks: 0 });
  });
});

describe('tickets and a change of AUTH_SECRET', () => {
  const database = useDatabase();
  const proxy = useProxy(database);
  const before = useInstance(database, { AUTH_SECRET, AUTH_SECRET_ACCEPTED: OTHER_SECRET, ...TICKETS_ON });
  const during = useInstance(database, { AUTH_SECRET: OTHER_SECRET, AUTH_SECRET_ACCEPTED: AUTH_SECRET, ...TICKETS_ON });

  it.each(['lg1', 'pr1', 'sc1', 'of1'] as const)('%s is accepted both ways, with the same code', async (form) => {
    const { purpose } = TICKET_FORMS[form];
    for (const [issuing, taking] of [
      [before, during],
      [during, before],
    ].map(([one, other]) => [new TicketDesk(one!), new TicketDesk(other!)] as const)) {
      const ticket = await issuing.issue(purpose);
      const token = issuing.tickets.tokenOf(ticket, form);
      expect(taking.tickets.tokenOf(ticket, form as never)).toBe(token);
      const code = issuing.tickets.codeOf(ticket as Ticket<'sign_in_code'>);
      expect(taking.tickets.codeOf(ticket as Ticket<'sign_in_code'>)).toBe(code);
      const presented = await taking.present(form, token, { code: form === 'lg1' ? 'right' : code });
      expect(tally([presented])).toEqual({ consumed: 1 });
    }
  });

  it('are refused without a query under a secret that is no longer accepted, as is a change of the key id', async () => {
    const desk = new TicketDesk(before);
    const ticket = await desk.issue('password_reset');
    const token = desk.tickets.tokenOf(ticket, 'pr1');
    // The signing keys of this database need the secret that is dropped, so the last instance has one of its own.
    const other = await createTestDatabase();
    proxy.cutWhen(() => undefined);
    const after = await startService(other, { AUTH_SECRET: OTHER_SECRET, ...TICKETS_ON });
    try {
      const late = new TicketDesk(after);
      await expect(late.present('pr1', token)).rejects.toThrow(TicketInvalidError);
      expect(() => late.tickets.codeOf(ticket as never)).toThrow(TicketInvalidError);
      expect(() => late.tickets.tokenOf(ticket, 'pr1')).toThrow(TicketInvalidError);
    } finally {
      await after.stop();
      await other.close();
    }
    // The thief of one accepted secret cannot make the token of a ticket that was issued under the other.
    const { id: keyId, ticketMacKey } = serverKeyOf(OTHER_SECRET);
    const forged = encodeTicketToken('pr1', { id: ticket.id, keyId }, ticketMacKey);
    expect(await new TicketDesk(during).present('pr1', forged)).toEqual({ kind: 'refused', reason: 'unknown' });
    expect(tally([await new TicketDesk(during).present('pr1', token)])).toEqual({ consumed: 1 });
  });
});

describe('tickets that have expired', () => {
  const database = useDatabase();
  const proxy = useProxy(database);
  const service = useInstance(proxy, TICKETS_ON);
  const without = useInstance(proxy);
  const desk = new TicketDesk(service);

  async function plant(count: number, secondsAfterEnd: number): Promise<void> {
    await database.sql(
      `insert into tickets (id, purpose, key_id, data, created_at, expires_at)
       select gen_random_uuid(), 'exchange', 0, '{}', now() - interval '1 day', now() - make_interval(secs => $2)
       from generate_series(1, $1)`,
      [count, secondsAfterEnd],
    );
  }

  async function countLeft(): Promise<number> {
    const [row] = await database.sql<{ count: number }>('select count(*)::integer as count from tickets');
    return row!.count;
  }

  const clean = (of: TestService = service): Promise<number> => of.app.get(TombstoneCleanerService).clean();

  beforeEach(async () => {
    await database.sql('delete from tickets');
  });

  it('stay an hour longer, consumed or not, and go then', async () => {
    const [used, unused] = [await desk.issue('exchange'), await desk.issue('exchange')];
    await desk.present('xc1', desk.tickets.tokenOf(used, 'xc1'));
    for (const ticket of [used, unused]) {
      await age(database, ticket, 60 + 3_570);
    }
    expect(await clean()).toBe(0);
    expect(tally([await desk.present('xc1', desk.tickets.tokenOf(unused, 'xc1'))])).toEqual({ expired: 1 });
    for (const ticket of [used, unused]) {
      await age(database, ticket, 31);
    }
    expect(await clean()).toBe(2);
    expect(tally([await desk.present('xc1', desk.tickets.tokenOf(used, 'xc1'))])).toEqual({ unknown: 1 });
  });

  it('go all in one run, in batches', async () => {
    await plant(2_500, 3_601);
    await plant(3, 3_500);
    const statements = recordStatements(proxy);
    expect(await clean()).toBe(2_500);
    expect(statements.filter((text) => COMMIT.test(text))).toHaveLength(3);
    expect(await countLeft()).toBe(3);
  });

  it('are passed over while another transaction holds them', async () => {
    await plant(3, 3_601);
    const lock = await holdLock(
      database,
      'select 1 from tickets where id = (select min(id::text)::uuid from tickets) for update',
      [],
    );
    expect(await clean()).toBe(2);
    await lock.release();
    expect(await clean()).toBe(1);
  });

  it('cost an instance that issues none nothing, and any other a single statement in a run', async () => {
    const ofTickets: string[] = [];
    let count = 0;
    proxy.cutWhen((text) => {
      count += 1;
      if (/\btickets\b/.test(text)) {
        ofTickets.push(text);
      }
      return undefined;
    });
    await clean(without);
    expect([count >= 4, ofTickets]).toEqual([true, []]);
    await clean(service);
    await eventually(() => ofTickets.length === 1, { withinMs: 1_000 });
  });
});

describe('a ticket that is issued', () => {
  const database = useDatabase();
  const service = useInstance(database, TICKETS_ON);

  it('invariant 8: leaves no token, code or challenge in the log', async () => {
    const desk = new TicketDesk(service);
    const ticket = await desk.issue('sign_in_code', { email: 'ada@example.com' });
    const secrets = [
      desk.tickets.tokenOf(ticket, 'sc1'),
      desk.tickets.tokenOf(ticket, 'sl1'),
      desk.tickets.codeOf(ticket),
      createHmac('sha256', serverKeyOf(AUTH_SECRET).ticketDerivationKey).update('x').digest('hex'),
    ];
    await service.client.get(`/auth/me?token=${secrets[0]!}`);
    await service.client.refresh(secrets[1]!);
    const log = service.logs.map((line) => JSON.stringify(line)).join('\n');
    expect(secrets.filter((secret) => log.includes(secret))).toEqual([]);
  });
});
