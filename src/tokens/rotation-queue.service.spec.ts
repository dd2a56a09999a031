import { beforeEach, describe, expect, it } from '@jest/globals';
import { Test } from '@nestjs/testing';
import { OverloadedError } from '../platform/common/domain.errors.js';
import { FamiliesRepository, type Presentation, type RotationOutcome } from './families.repository.js';
import { RotationQueueService } from './rotation-queue.service.js';

const UNKNOWN: RotationOutcome = { kind: 'unknown_family' };

function presentationOf(familyId: string): Presentation {
  return {
    familyId,
    secretHash: Buffer.alloc(32),
    generation: 1,
    retryKeyHash: Buffer.alloc(32),
    previousRetryKeyHash: undefined,
    isKeyFromClient: false,
    client: { ipAddress: undefined, userAgent: undefined },
  };
}

interface Statement {
  readonly familyIds: readonly string[];
  /** Families that are not named are held by somebody else. */
  answer(free?: readonly string[]): void;
  fail(error: Error): void;
}

/** Keeps every statement open until the test ends it. */
class FakeRepository {
  readonly statements: Statement[] = [];
  readonly alone: string[] = [];
  /** Nobody gets a connection while it is set. */
  noConnection: Error | undefined;

  rotateFreeFamilies(take: () => readonly Presentation[]): Promise<ReadonlyMap<string, RotationOutcome>> {
    if (this.noConnection !== undefined) {
      return Promise.reject(this.noConnection);
    }
    const familyIds = take().map(({ familyId }) => familyId);
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

  rotateFamily({ familyId }: Presentation, admit: () => void): Promise<RotationOutcome> {
    return new Promise((resolve) => {
      admit();
      this.alone.push(familyId);
      resolve(UNKNOWN);
    });
  }
}

let repository: FakeRepository;
let queue: RotationQueueService;

beforeEach(async () => {
  repository = new FakeRepository();
  const module = await Test.createTestingModule({
    providers: [RotationQueueService, { provide: FamiliesRepository, useValue: repository }],
  }).compile();
  queue = module.get(RotationQueueService);
});

const admit = (): void => undefined;

function rotate(familyId: string, admission: () => void = admit): Promise<RotationOutcome> {
  return queue.rotate(presentationOf(familyId), admission);
}

/** Lets everything that is ready run. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function sent(): readonly (readonly string[])[] {
  return repository.statements.map(({ familyIds }) => familyIds);
}

describe('RotationQueueService', () => {
  it('sends a lone presentation at once', () => {
    void rotate('a');
    expect(sent()).toEqual([['a']]);
  });

  it('sends what arrives meanwhile together, as soon as the statement is answered', async () => {
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

  it('puts at most 64 into one statement, the oldest first', async () => {
    const ids = Array.from({ length: 100 }, (_, index) => `${index}`);
    ids.forEach((id) => void rotate(id));
    repository.statements[0]!.answer();
    await settle();
    expect(sent()[1]).toEqual(ids.slice(1, 65));
  });

  it('never puts two presentations of one family into a statement', async () => {
    ['a', 'b', 'c', 'b', 'd', 'b'].forEach((id) => void rotate(id));
    for (let index = 0; index < 4; index += 1) {
      repository.statements[index]!.answer();
      await settle();
    }
    expect(sent()).toEqual([['a'], ['b', 'c', 'd'], ['b'], ['b']]);
  });

  it('lets one whose family somebody holds wait by itself, and nobody else', async () => {
    void rotate('first');
    const [held, free] = [rotate('held'), rotate('free')];
    repository.statements[0]!.answer();
    await settle();
    repository.statements[1]!.answer(['free']);
    expect(await free).toBe(UNKNOWN);
    expect(await held).toBe(UNKNOWN);
    expect(repository.alone).toEqual(['held']);
  });

  it('drops whom nobody waits for any more, right before the statement, and also before it is sent alone', async () => {
    let hasGone = false;
    const check = (): void => {
      if (hasGone) {
        throw new Error('gone');
      }
    };
    void rotate('a');
    const [dropped, kept] = [rotate('b', check), rotate('c')];
    hasGone = true;
    repository.statements[0]!.answer();
    await expect(dropped).rejects.toThrow('gone');
    await settle();
    expect(sent()[1]).toEqual(['c']);

    hasGone = false;
    const left = rotate('d', check);
    repository.statements[1]!.answer();
    expect(await kept).toBe(UNKNOWN);
    await settle();
    hasGone = true;
    repository.statements[2]!.answer([]);
    await expect(left).rejects.toThrow('gone');
    expect(repository.alone).toEqual([]);
  });

  it('fails every member of a statement that fails, and goes on with the next', async () => {
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

  it('fails everybody who waits when no connection can be had, and tries anew for the next', async () => {
    repository.noConnection = new Error('no connection');
    const waiting = ['a', 'a', 'b'].map((id) => rotate(id));
    for (const each of waiting) {
      await expect(each).rejects.toThrow('no connection');
    }
    repository.noConnection = undefined;
    await settle();
    void rotate('c');
    expect(sent()).toEqual([['c']]);
  });

  it('refuses at once when 4,096 wait, and takes more when they are fewer', async () => {
    const outcomes = Array.from({ length: 4_097 }, (_, index) => rotate(`${index}`));
    await expect(rotate('one too many')).rejects.toBeInstanceOf(OverloadedError);
    repository.statements[0]!.answer();
    await settle();
    void rotate('welcome');
    expect(queue.waitingCount).toBe(4_096 - 64 + 1);
    expect(await outcomes[0]).toBe(UNKNOWN);
  });
});
