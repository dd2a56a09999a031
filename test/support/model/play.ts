import { isDeepStrictEqual } from 'node:util';
import { expect } from 'vitest';
import { Client } from 'pg';
import { RevokedSessionsService } from '../../../src/tokens/revoked-sessions.service.js';
import { eventually } from '../eventually.js';
import type { Account } from '../test-client.js';
import type { TestDatabase } from '../test-database.js';
import type { TestService } from '../test-service.js';
import {
  type Action,
  type Answer,
  endedBetween,
  familyOf,
  isLive,
  newWorld,
  type Settings,
  take,
  type World,
} from './family.model.js';
import { LiveWorld } from './live-world.js';
import { describeAction, describeAnswer, type Draft, type Instance, type Turn } from './turns.js';

/** The services under test: two instances for each of the settings, all over one database. */
export interface Site {
  readonly database: TestDatabase;
  readonly pairs: readonly { readonly settings: Settings; readonly instances: readonly [TestService, TestService] }[];
  /** Whose password hash the users of all runs share. */
  readonly original: Account;
}

const USERS_AT_FIRST = 2;

/** Much later than promised, which is measured elsewhere; here it only matters that the news comes. */
const LONGEST_WAIT_FOR_NEWS_MS = 5_000;

/**
 * Takes turns in the service and in the model, and compares every answer.
 *
 * @throws Error with all turns that were taken, when the two part ways
 */
export async function play(site: Site, drafts: readonly Draft[]): Promise<void> {
  const live = await LiveWorld.open(site.database, site.original, USERS_AT_FIRST);
  const run = new Run(site, live);
  try {
    for (const draft of [...opening, ...drafts]) {
      await run.take(draft);
    }
    await run.conclude();
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new Error([...run.turns, message].join('\n'), { cause: error });
  }
}

/** Without a session there is nothing to do. */
const opening: readonly Draft[] = [
  () => ({ kind: 'alone', action: { kind: 'log in', user: 0, isPasswordRight: true }, instance: 0 }),
];

class Run {
  /** What has been done, one line each. */
  readonly turns: string[] = [];
  private world: World;

  constructor(
    private readonly site: Site,
    private readonly live: LiveWorld,
  ) {
    this.world = newWorld(site.pairs[0]!.settings, USERS_AT_FIRST);
  }

  async take(draft: Draft): Promise<void> {
    // Each turn takes a moment: no two sessions have been used at the same time.
    const before = { ...this.world, nowMs: this.world.nowMs + 1 };
    const turn = draft(before);
    if (turn === undefined) {
      return;
    }
    this.world = turn.kind === 'alone' ? await this.takeAlone(before, turn) : await this.takeAtOnce(before, turn);
    await this.expectNewsOfEnds(before);
  }

  /** Brings to light what the turns have left behind: every token of every session is good for what it should be. */
  async conclude(): Promise<void> {
    expect(await this.live.countRows()).toBe(this.world.families.filter(({ isCleanedUp }) => !isCleanedUp).length);
    for (const index of this.world.families.keys()) {
      for (const question of lastQuestions) {
        await this.take((world) => {
          const action = question(world, index);
          return action && { kind: 'alone', action, instance: index % 2 === 0 ? 0 : 1 };
        });
      }
    }
  }

  private async takeAlone(before: World, { action, instance }: Extract<Turn, { kind: 'alone' }>): Promise<World> {
    this.turns.push(`instance ${instance}: ${describeAction(action)}`);
    const expected = take(before, action);
    const answer = await this.live.perform(action, this.instance(before, instance));
    if (!isDeepStrictEqual(answer, expected.answer)) {
      throw new Error(`  answered ${describeAnswer(answer)}\n  expected ${describeAnswer(expected.answer)}`);
    }
    this.turns.push(`  ${describeAnswer(answer)}`);
    // Whoever acknowledges an end honours it from that moment on.
    for (const index of endedBetween(before, expected.world)) {
      const look: Action = { kind: 'read user', accessTokenOf: index };
      const seen = await this.live.perform(look, this.instance(before, instance));
      if (!isDeepStrictEqual(seen, take(expected.world, look).answer)) {
        throw new Error(`  family ${index} should have ended, but its access token still says ${describeAnswer(seen)}`);
      }
    }
    return expected.world;
  }

  /** The answers must be those that some order of the actions, one by one, would have had. */
  private async takeAtOnce(before: World, { actions, queuedAt }: Extract<Turn, { kind: 'at once' }>): Promise<World> {
    const where = queuedAt === undefined ? '' : `, queued at the row of family ${queuedAt}`;
    this.turns.push(
      `at once, on both instances by turns${where}:`,
      ...actions.map((action) => `  ${describeAction(action)}`),
    );
    const start = (): Promise<Answer>[] =>
      actions.map((action, index) => this.live.perform(action, this.instance(before, index % 2 === 0 ? 0 : 1)));
    const answers = await (queuedAt === undefined ? Promise.all(start()) : this.queue(queuedAt, start));

    const outcomes = ordersOf(actions.length).flatMap((order) => {
      let world = before;
      const isExplained = order.every((index) => {
        const step = take(world, actions[index]!);
        world = step.world;
        return isDeepStrictEqual(answers[index], step.answer);
      });
      return isExplained ? [world] : [];
    });
    this.turns.push(...answers.map((answer) => `  ${describeAnswer(answer)}`));
    const [after] = outcomes;
    if (after === undefined) {
      throw new Error('  which no order of these actions explains');
    }
    if (!outcomes.every((outcome) => isDeepStrictEqual(outcome, after))) {
      throw new Error('  from which the model cannot tell what they left behind: a fault of the test');
    }
    return after;
  }

  /** Lets all of them begin before one of them can decide. */
  private async queue(family: number, start: () => Promise<Answer>[]): Promise<Answer[]> {
    const holder = new Client({ connectionString: this.site.database.url, application_name: 'test lock holder' });
    await holder.connect();
    try {
      await holder.query('begin');
      await holder.query('select 1 from refresh_token_families where id = $1 for update', [this.live.familyId(family)]);
      let answered = 0;
      const answers = start().map((answer) =>
        answer.finally(() => {
          answered += 1;
        }),
      );
      const all = Promise.all(answers);
      await Promise.race([
        all,
        eventually(async () => answered + (await this.countWaiting()) === answers.length, { withinMs: 4_000 }),
      ]);
      await holder.query('commit');
      return await all;
    } finally {
      await holder.end();
    }
  }

  private async countWaiting(): Promise<number> {
    const [row] = await this.site.database.sql<{ count: number }>(
      `select count(*)::integer as count from pg_stat_activity
       where datname = current_database() and application_name = 'ratchet' and wait_event_type = 'Lock'`,
    );
    return row!.count;
  }

  /** All instances, those with other settings too, hear of every session that has ended. */
  private async expectNewsOfEnds(before: World): Promise<void> {
    const ids = endedBetween(before, this.world).map((index) => this.live.familyId(index));
    const feeds = this.site.pairs.flatMap(({ instances }) =>
      instances.map(({ app }) => app.get(RevokedSessionsService)),
    );
    for (const id of ids) {
      for (const feed of feeds) {
        await eventually(() => feed.isRevoked(id), { withinMs: LONGEST_WAIT_FOR_NEWS_MS });
      }
    }
  }

  private instance({ settings }: World, instance: Instance): TestService {
    return this.site.pairs.find((pair) => pair.settings === settings)!.instances[instance];
  }
}

/**
 * What to ask about a family that lives: its access token, the list it stands in, a retry, a late attempt, the good
 * token, and a used one.
 */
const lastQuestions: readonly ((world: World, family: number) => Action | undefined)[] = [
  (world, family) => (familyOf(world, family).isCleanedUp ? undefined : { kind: 'read user', accessTokenOf: family }),
  (world, family) =>
    isLive(world, familyOf(world, family)) ? { kind: 'list sessions', accessTokenOf: family } : undefined,
  (world, family) => {
    const { generation, key } = familyOf(world, family).rotation;
    return key && { kind: 'refresh', token: { family, generation: generation - 1 }, key };
  },
  (world, family) => {
    const late = familyOf(world, family).rotation.history.findLast(({ key }) => key !== undefined);
    return late && { kind: 'refresh', token: { family, generation: late.generation }, key: late.key };
  },
  (world, family) => {
    const { generation } = familyOf(world, family).rotation;
    return { kind: 'refresh', token: { family, generation }, key: undefined };
  },
  (world, family) =>
    isLive(world, familyOf(world, family))
      ? { kind: 'refresh', token: { family, generation: 1 }, key: undefined }
      : undefined,
];

/** All orders of the numbers below this one. */
function ordersOf(count: number): readonly (readonly number[])[] {
  return count === 0
    ? [[]]
    : ordersOf(count - 1).flatMap((order) =>
        Array.from({ length: count }, (_, at) => [...order.slice(0, at), count - 1, ...order.slice(at)]),
      );
}
