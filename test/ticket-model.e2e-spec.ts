import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { TICKET_FORMS, type Ticket, type TicketForm, type TicketVerdict } from '../src/tickets/tickets.types.js';
import { TombstoneCleanerService } from '../src/tokens/tombstone-cleaner.service.js';
import { changeCredentials, cleanUp, issue, newWorld, present, type Verdict } from './support/model/ticket.model.js';
import { AUTH_SECRET } from './support/test-service.js';
import { TICKETS_ON, TicketDesk } from './support/ticket-desk.js';
import { useDatabase, useInstance } from './support/use-service.js';

const RUNS = Number(process.env['MODEL_RUNS'] ?? 40);
const SEED = process.env['MODEL_SEED'];
const OTHER_SECRET = 'auth-secret-to-come-of-the-tests-Hn5Wd8Qx2Vk7Zr3M';

const FORMS = Object.keys(TICKET_FORMS) as TicketForm[];
const PURPOSES = FORMS.map((form) => TICKET_FORMS[form].purpose);
const USERS = 2;

/** Numbers are taken modulo what there is when their turn comes. */
type Turn =
  | { readonly kind: 'issue'; readonly purpose: number; readonly user: number | undefined; readonly at: number }
  | {
      readonly kind: 'present';
      readonly ticket: number;
      readonly form: number;
      readonly isProven: boolean;
      /** How many at once, each an attempt of its own. */
      readonly crowd: number;
      readonly at: number;
    }
  | { readonly kind: 'retry'; readonly attempt: number; readonly at: number }
  | { readonly kind: 'change credentials'; readonly user: number }
  | { readonly kind: 'move clock'; readonly seconds: number }
  | { readonly kind: 'clean up'; readonly at: number };

const at = fc.nat(1);
const turn: fc.Arbitrary<Turn> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('issue' as const),
      // Few, so that tickets of one purpose meet.
      purpose: fc.constantFrom(...[0, 4, 5, 7, 10, 13].map((index) => index)),
      user: fc.option(fc.nat(USERS - 1), { nil: undefined }),
      at,
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('present' as const),
      ticket: fc.nat(),
      form: fc.nat(1),
      isProven: fc.boolean(),
      crowd: fc.constantFrom(1, 1, 1, 6),
      at,
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('retry' as const), attempt: fc.nat(), at }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('change credentials' as const), user: fc.nat(USERS - 1) }),
  },
  {
    weight: 2,
    // Every lifetime is a multiple of 60 s, so no border is near.
    arbitrary: fc.record({
      kind: fc.constant('move clock' as const),
      seconds: fc.constantFrom(40, 200, 1_000, 3_000, 90_000, 300_000),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('clean up' as const), at }) },
);

function kindOf(verdict: TicketVerdict): Verdict {
  return verdict.kind === 'refused' ? verdict.reason : verdict.kind;
}

/**
 * Random lives of tickets, led in the service and in a reference model at the same time: presentations alone and in
 * crowds, by every form, with right and wrong proofs, retries of any earlier attempt, changed credentials, a moved clock,
 * clean-ups, on two instances in the middle of a change of `AUTH_SECRET`.
 */
describe('tickets', () => {
  const database = useDatabase();
  const quiet = { LOG_LEVEL: 'error' };
  const services = [
    useInstance(database, { ...quiet, AUTH_SECRET, AUTH_SECRET_ACCEPTED: OTHER_SECRET, ...TICKETS_ON }),
    useInstance(database, { ...quiet, AUTH_SECRET: OTHER_SECRET, AUTH_SECRET_ACCEPTED: AUTH_SECRET, ...TICKETS_ON }),
  ];
  const desks = services.map((service) => new TicketDesk(service));
  let userIds: string[];

  beforeAll(async () => {
    userIds = await Promise.all(Array.from({ length: USERS }, async () => (await services[0]!.client.signUp()).id));
    // By itself it would clean up once a minute, and the model would not know.
    await Promise.all(services.map(({ app }) => app.get(TombstoneCleanerService).onApplicationShutdown()));
  });

  afterAll(() => database.sql('delete from tickets'));

  async function play(turns: readonly Turn[]): Promise<void> {
    await database.sql('delete from tickets');
    await database.sql('update users set credential_version = 1');
    let world = newWorld(USERS);
    const tickets: Ticket[] = [];
    const attempts: { ticket: number; form: TicketForm; isProven: boolean; attemptId: string }[] = [];

    const show = async (attempt: (typeof attempts)[number], desk: TicketDesk): Promise<Verdict> => {
      const ticket = tickets[attempt.ticket]!;
      const code = attempt.form === 'lg1' ? 'right' : desk.tickets.codeOf(ticket as Ticket<'sign_in_code'>);
      const verdict = await desk.present(attempt.form, desk.tickets.tokenOf(ticket, attempt.form), {
        attemptId: attempt.attemptId,
        code: attempt.isProven ? code : `9${code.slice(1, 4)}`,
      });
      if ('contents' in verdict) {
        expect(verdict.contents.data).toEqual({ number: attempt.ticket });
      }
      return kindOf(verdict);
    };

    for (const each of turns) {
      switch (each.kind) {
        case 'issue': {
          const purpose = PURPOSES[each.purpose]!;
          const userId = each.user === undefined ? {} : { userId: userIds[each.user]! };
          tickets.push(await desks[each.at]!.issue(purpose, { ...userId, data: { number: tickets.length } }));
          world = issue(world, purpose, each.user);
          break;
        }
        case 'present': {
          const index = each.ticket % tickets.length;
          const ticket = tickets[index];
          if (ticket === undefined) {
            break;
          }
          const forms = FORMS.filter((form) => TICKET_FORMS[form].purpose === ticket.purpose);
          const crowd = Array.from({ length: each.crowd }, () => ({
            ticket: index,
            form: forms[each.form % forms.length]!,
            isProven: each.isProven,
            attemptId: randomUUID(),
          }));
          const verdicts = await Promise.all(
            crowd.map((attempt, place) => show(attempt, desks[(each.at + place) % desks.length]!)),
          );
          // The model takes them in the order in which the service seems to have: who won is the service's choice.
          const order = crowd
            .map((attempt, place) => ({ attempt, verdict: verdicts[place]! }))
            .sort((one, other) => RANK.indexOf(one.verdict) - RANK.indexOf(other.verdict));
          const expected = order.map(({ attempt }) => {
            const step = present(world, index, attempt);
            ({ world } = step);
            return step.verdict;
          });
          expect(order.map(({ verdict }) => verdict)).toEqual(expected);
          attempts.push(...crowd);
          break;
        }
        case 'retry': {
          const attempt = attempts[each.attempt % attempts.length];
          if (attempt === undefined) {
            break;
          }
          const step = present(world, attempt.ticket, attempt);
          expect(await show(attempt, desks[each.at]!)).toBe(step.verdict);
          ({ world } = step);
          break;
        }
        case 'change credentials':
          await database.sql('update users set credential_version = credential_version + 1 where id = $1', [
            userIds[each.user],
          ]);
          world = changeCredentials(world, each.user);
          break;
        case 'move clock':
          await database.sql(
            `update tickets
             set created_at = created_at - make_interval(secs => $1), expires_at = expires_at - make_interval(secs => $1)`,
            [each.seconds],
          );
          world = { ...world, nowSeconds: world.nowSeconds + each.seconds };
          break;
        case 'clean up': {
          const step = cleanUp(world);
          expect(await services[each.at]!.app.get(TombstoneCleanerService).clean()).toBe(step.count);
          ({ world } = step);
          break;
        }
      }
    }

    const rows = await database.sql<{ id: string }>(
      `select id, attempts as "wrongProofs", consumed_at is not null as "isConsumed", consumed_by as "consumedBy" from tickets`,
    );
    const expected = world.tickets.flatMap(({ wrongProofs, isConsumed, consumedBy = null, isCleanedUp }, index) =>
      isCleanedUp ? [] : [{ id: tickets[index]!.id, wrongProofs, isConsumed, consumedBy }],
    );
    const byId = (one: { id: string }, other: { id: string }): number => one.id.localeCompare(other.id);
    expect([...rows].sort(byId)).toEqual(expected.sort(byId));
  }

  it('invariant 10: are consumed once, counted and kept as the model says, whatever is done with them', async () => {
    await fc.assert(fc.asyncProperty(fc.array(turn, { minLength: 10, maxLength: 40, size: 'max' }), play), {
      numRuns: RUNS,
      ...(SEED !== undefined && { seed: Number(SEED) }),
    });
  }, 120_000);
});

/** Whatever changes the ticket comes before what only meets the change. */
const RANK: readonly Verdict[] = [
  'consumed',
  'unproven',
  'consumed before',
  'used',
  'exhausted',
  'expired',
  'superseded',
  'unknown',
];
