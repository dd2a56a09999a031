import { beforeEach, describe, expect, it } from 'vitest';
import { Test } from '@nestjs/testing';
import { OverloadedError } from '../platform/common/domain.errors.js';
import { type Connection, DatabaseService } from '../platform/database/database.service.js';
import { FamiliesRepository, type Presentation, type RotationOutcome } from './families.repository.js';
import { RotationQueueService } from './rotation-queue.service.js';

const UNKNOWN: RotationOutcome = { kind: 'unknown_family' };

function presentationOf(familyId: string): Presentation {
  return {
    familyId,
    secretHash: Buffer.alloc(32),
    generation: 1,
    retryKeyHash: Buffer.alloc(32),
    retryKeyDigest: Buffer.alloc(8),
    isKeyFromClient: false,
    requestedRoles: undefined,
    client: { ipAddress: undefined, userAgent: undefined },
  };
}

interface Statement {
  readonly familyIds: readonly string[];
  /** Families that are not named are locked by another transaction. */
  answer(free?: readonly string[]): void;
  fail(error: Error): void;
}

/** Keeps every statement open until the test ends it. */
class FakeRepository {
  readonly statements: Statement[] = [];
  readonly alone: string[] = [];

  rotateFreeFamilies(
    _connection: Connection,
    presentations: readonly Presentation[],
  ): Promise<ReadonlyMap<string, RotationOutcome>> {
    const familyIds = presentations.map(({ familyId }) => familyId);
    return new Promise((resolve, reject) => {
      this.statements.push({
        familyIds,
        answer: (free = familyIds) => {
          resolve(new Map(free.map((familyId) => [familyId, UNKNOWN])));
        },
        fail: reject,
      });
    });
  }

  rotateFamily(_connection: Connection, { familyId }: Presentation): Promise<RotationOutcome> {
    this.alone.push(familyId);
    return Promise.resolve(UNKNOWN);
  }
}

class FakeDatabase {
  /** Why no connection is available. */
  noConnection: Error | undefined;

  withConnection<T>(work: (connection: Connection) => Promise<T>): Promise<T> {
    return this.noConnection === undefined
      ? work({ queryPrepared: () => Promise.resolve([]) })
      : Promise.reject(this.noConnection);
  }
}

let repository: FakeRepository;
let database: FakeDatabase;
let queue: RotationQueueService;

beforeEach(async () => {
  repository = new FakeRepository();
  database = new FakeDatabase();
  const module = await Test.createTestingModule({
    providers: [
      RotationQueueService,
      { provide: FamiliesRepository, useValue: repository },
      { provide: DatabaseService, useValue: database },
    ],
  }).compile();
  queue = module.get(RotationQueueService);
});

function rotate(familyId: string, isStillWanted = (): boolean => true): Promise<RotationOutcome> {
  return queue.rotate(presentationOf(familyId), isStillWanted);
}

/** Lets everything that is ready run. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function sent(): readonly (readonly string[])[] {
  return repository.statements.map(({ familyIds }) => familyIds);
}

describe('RotationQueueService', () => {
  it('a lone presentation is sent at once', () => {
    void rotate('a');
    expect(sent()).toEqual([['a']]);
  });

  it('presentations that arrive during a statement share the next one, sent as soon as it is answered', async () => {
    const outcomes = ['a', 'b', 'c'].map((id) => rotate(id));
    expect(queue.waitingCount).toBe(2);
    repository.statements[0]!.answer();
    await settle();
    expect(sent()).toEqual([['a'], ['b', 'c']]);
    repository.statements[1]!.answer();
    expect(await Promise.all(outcomes)).toEqual([UNKNOWN, UNKNOWN, UNKNOWN]);
    void rotate('d');
    expect(sent()).toHaveLength(3);
  });

  it('a batch holds at most 64 presentations, the oldest first', async () => {
    const ids = Array.from({ length: 100 }, (_, index) => `${index}`);
    ids.forEach((id) => void rotate(id));
    repository.statements[0]!.answer();
    await settle();
    expect(sent()[1]).toEqual(ids.slice(1, 65));
  });

  it('a batch never holds two presentations of one family', async () => {
    ['a', 'b', 'c', 'b', 'd', 'b'].forEach((id) => void rotate(id));
    for (let index = 0; index < 4; index += 1) {
      repository.statements[index]!.answer();
      await settle();
    }
    expect(sent()).toEqual([['a'], ['b', 'c', 'd'], ['b'], ['b']]);
  });

  it('a presentation whose family is locked is retried alone, and delays no other', async () => {
    void rotate('first');
    const [held, free] = [rotate('held'), rotate('free')];
    repository.statements[0]!.answer();
    await settle();
    repository.statements[1]!.answer(['free']);
    expect(await free).toBe(UNKNOWN);
    expect(await held).toBe(UNKNOWN);
    expect(repository.alone).toEqual(['held']);
  });

  it('a presentation that is no longer wanted is dropped right before the batch, and before its retry alone', async () => {
    let hasGone = false;
    const isStillWanted = (): boolean => !hasGone;
    void rotate('a');
    const [dropped, kept] = [rotate('b', isStillWanted), rotate('c')];
    hasGone = true;
    repository.statements[0]!.answer();
    await expect(dropped).rejects.toThrow('the client has gone');
    await settle();
    expect(sent()[1]).toEqual(['c']);

    hasGone = false;
    const left = rotate('d', isStillWanted);
    repository.statements[1]!.answer();
    expect(await kept).toBe(UNKNOWN);
    await settle();
    hasGone = true;
    repository.statements[2]!.answer([]);
    await expect(left).rejects.toThrow('the client has gone');
    expect(repository.alone).toEqual([]);
  });

  it('a failing statement fails its whole batch, and the next one is sent', async () => {
    const first = rotate('a');
    const [second, third] = [rotate('b'), rotate('c')];
    repository.statements[0]!.fail(new Error('of a'));
    await expect(first).rejects.toThrow('of a');
    await settle();
    const fourth = rotate('d');
    repository.statements[1]!.fail(new Error('of both'));
    await expect(second).rejects.toThrow('of both');
    await expect(third).rejects.toThrow('of both');
    await settle();
    repository.statements[2]!.answer();
    expect(await fourth).toBe(UNKNOWN);
  });

  it('without a connection all that wait fail, and the next presentation tries again', async () => {
    database.noConnection = new Error('no connection');
    const waiting = ['a', 'a', 'b'].map((id) => rotate(id));
    for (const each of waiting) {
      await expect(each).rejects.toThrow('no connection');
    }
    database.noConnection = undefined;
    await settle();
    void rotate('c');
    expect(sent()).toEqual([['c']]);
  });

  it('a presentation is refused at once while 4,096 wait, and accepted when fewer do', async () => {
    const outcomes = Array.from({ length: 4_097 }, (_, index) => rotate(`${index}`));
    await expect(rotate('one too many')).rejects.toBeInstanceOf(OverloadedError);
    repository.statements[0]!.answer();
    await settle();
    void rotate('welcome');
    expect(queue.waitingCount).toBe(4_096 - 64 + 1);
    expect(await outcomes[0]).toBe(UNKNOWN);
  });

  it('a retry of an unknown outcome gets in when the queue is full', async () => {
    const outcomes = Array.from({ length: 4_097 }, (_, index) => rotate(`${index}`));
    await expect(rotate('refused')).rejects.toThrow(OverloadedError);
    void queue.rotate(presentationOf('retry'), () => true, true);
    expect(queue.waitingCount).toBe(outcomes.length);
  });
});
