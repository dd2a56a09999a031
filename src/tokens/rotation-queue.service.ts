import { Injectable } from '@nestjs/common';
import { OverloadedError } from '../platform/common/domain.errors.js';
import { FamiliesRepository, type Presentation, type RotationOutcome } from './families.repository.js';

/** One statement decides that many at most, so that its locks are held for milliseconds. */
const MOST_PER_STATEMENT = 64;

/** A second's work and more: whoever waits longer than that is better told to come back. */
const MOST_WAITING = 4_096;

interface Member {
  readonly presentation: Presentation;
  readonly admit: () => void;
  readonly resolve: (outcome: RotationOutcome) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Lets presentations that arrive while a statement is under way share the next one: one round trip and one commit for
 * all of them. A lone one is sent at once.
 *
 * Nothing else changes for a member. No two presentations of one family share a statement, so each is judged as if it
 * had come alone; one whose family somebody else holds is left out of the statement and waits by itself, so that nobody
 * waits for it.
 */
@Injectable()
export class RotationQueueService {
  private waiting: Member[] = [];
  private isSending = false;

  constructor(private readonly families: FamiliesRepository) {}

  /** How many presentations wait for the next statement. */
  get waitingCount(): number {
    return this.waiting.length;
  }

  /**
   * @param admit called right before the statement is sent; may throw to drop the presentation
   * @throws OverloadedError when too many wait; nothing was done
   * @throws whatever the statement fails with: every member of it gets the same error
   */
  rotate(presentation: Presentation, admit: () => void): Promise<RotationOutcome> {
    if (this.waiting.length >= MOST_WAITING) {
      return Promise.reject(new OverloadedError('too many refreshes are waiting'));
    }
    return new Promise((resolve, reject) => {
      this.waiting.push({ presentation, admit, resolve, reject });
      if (!this.isSending) {
        void this.sendAll();
      }
    });
  }

  private async sendAll(): Promise<void> {
    this.isSending = true;
    while (this.waiting.length > 0) {
      await this.send();
    }
    this.isSending = false;
  }

  private async send(): Promise<void> {
    let members: readonly Member[] = [];
    try {
      const outcomes = await this.families.rotateFreeFamilies(() => {
        members = this.take();
        return members.map(({ presentation }) => presentation);
      });
      for (const member of members) {
        const outcome = outcomes.get(member.presentation.familyId);
        if (outcome === undefined) {
          this.sendAlone(member);
        } else {
          member.resolve(outcome);
        }
      }
    } catch (error) {
      // Without a connection nobody was taken: those who wait have waited for it.
      const failed = members.length > 0 ? members : this.waiting.splice(0);
      failed.forEach(({ reject }) => {
        reject(error);
      });
    }
  }

  /** Its family is held by another transaction, or is not there any more. */
  private sendAlone({ presentation, admit, resolve, reject }: Member): void {
    this.families.rotateFamily(presentation, admit).then(resolve, reject);
  }

  /** The oldest presentations of different families; a second one of a family waits for the next statement. */
  private take(): readonly Member[] {
    const taken: Member[] = [];
    const left: Member[] = [];
    const familyIds = new Set<string>();
    for (const member of this.waiting) {
      const { familyId } = member.presentation;
      if (taken.length === MOST_PER_STATEMENT || familyIds.has(familyId)) {
        left.push(member);
      } else if (isAdmitted(member)) {
        familyIds.add(familyId);
        taken.push(member);
      }
    }
    this.waiting = left;
    return taken;
  }
}

function isAdmitted({ admit, reject }: Member): boolean {
  try {
    admit();
    return true;
  } catch (error) {
    reject(error);
    return false;
  }
}
