import { setTimeout as pause } from 'node:timers/promises';
import { CommandFailedError } from './command.errors.js';
import { keysTable, nameOf, planTable } from './keys.table.js';
import type { Services } from './services.js';
import { type Invocation, writeAnswer, writeNotice } from './terminal.js';

/** A whole rotation and its result. */
const PLANNED_TRANSITIONS = 6;

const RETRY_PAUSE_MS = 500;

/** One method per command. Each does the work, reports what it did, and closes what it opened. */
export class KeyTasks {
  constructor(private readonly invocation: Invocation) {}

  async list(): Promise<void> {
    await this.withKeys(async ({ keys }) => {
      writeAnswer(this.invocation, keysTable(await keys.overview()));
    });
  }

  async plan(): Promise<void> {
    await this.withKeys(async ({ keys }) => {
      const transitions = await keys.plan(PLANNED_TRANSITIONS);
      writeAnswer(
        this.invocation,
        transitions.length > 0 ? planTable(transitions) : 'Nothing is due: the active key signs until you rotate it.',
      );
    });
  }

  async rotate(): Promise<void> {
    await this.withKeys(async ({ keys }) => {
      const rotation = await keys.rotate();
      switch (rotation.kind) {
        case 'published':
          writeAnswer(
            this.invocation,
            `Published ${nameOf(rotation.key)}. It starts to sign at ${rotation.signsFrom.toISOString()}.`,
          );
          return;
        case 'activated':
          writeAnswer(this.invocation, `${nameOf(rotation.key)} signs from now on.`);
          return;
        case 'too_early':
          throw new CommandFailedError(
            `Refused: a verifier that caches the keys may not know ${nameOf(rotation.key)} before ` +
              `${rotation.signsFrom.toISOString()}, when the service lets it sign. --force does not wait.`,
          );
        case 'full':
          throw tooManyKeys(rotation.roomFrom);
      }
    });
  }

  async rotateByForce(): Promise<void> {
    await this.withKeys(async ({ keys }) => {
      const rotation = await keys.rotate();
      if (rotation.kind === 'full') {
        throw tooManyKeys(rotation.roomFrom);
      }
      if (rotation.kind !== 'activated') {
        writeNotice(
          this.invocation,
          `${nameOf(rotation.key)} is published. Waiting 20 s from then, until every instance has loaded it…`,
        );
        await this.activateEarly(keys, rotation.key.kid);
      }
      writeAnswer(this.invocation, `${nameOf(rotation.key)} signs from now on.`);
      if (rotation.kind !== 'activated') {
        writeNotice(
          this.invocation,
          `Verifiers that cache the keys may refuse new tokens until ${rotation.signsFrom.toISOString()} at the latest.`,
        );
      }
    });
  }

  async retire(kid: string, { mayEndTokens }: { readonly mayEndTokens: boolean }): Promise<void> {
    await this.withKeys(async ({ keys }) => {
      const retirement = await keys.retire(kid, mayEndTokens);
      switch (retirement.kind) {
        case 'removed':
          writeAnswer(
            this.invocation,
            `Removed ${kid}; instances refuse its tokens as soon as they have reloaded the keys.`,
          );
          if (retirement.tokensEndAt !== undefined) {
            writeNotice(this.invocation, 'Its access tokens are refused from now on; their clients have to refresh.');
          }
          writeNotice(this.invocation, 'Verifiers that cache the keys accept it until their cache expires.');
          return;
        case 'tokens_alive':
          throw new CommandFailedError(
            `Refused: tokens that ${kid} signed may be valid until ${retirement.tokensEndAt.toISOString()}. ` +
              '--force ends them: their clients have to refresh.',
          );
        case 'active':
          throw new CommandFailedError(`Refused: ${kid} is the key that signs. Replace it first: rotate --force.`);
        case 'unknown':
          throw new CommandFailedError(`There is no key ${kid}.`);
      }
    });
  }

  async reencrypt(): Promise<void> {
    await this.withKeys(async ({ keys }) => {
      const { changedCount, totalCount } = await keys.reencrypt();
      writeAnswer(
        this.invocation,
        `Re-encrypted ${changedCount} of ${totalCount} keys; all are under AUTH_SECRET now.`,
      );
    });
  }

  private async activateEarly(keys: Services['keys'], kid: string): Promise<void> {
    for (;;) {
      const activation = await keys.activateEarly(kid);
      if (activation.kind === 'activated') {
        return;
      }
      if (activation.kind === 'gone') {
        throw new CommandFailedError(`${kid} was withdrawn or removed meanwhile. See list.`);
      }
      if (this.invocation.interrupted.aborted) {
        throw new CommandFailedError(`Interrupted. ${kid} stays published; rotate --force continues from here.`);
      }
      await pause(RETRY_PAUSE_MS);
    }
  }

  /** The service takes most of a second to load, so help and usage errors do not load it. */
  private async withKeys(work: (services: Services) => Promise<void>): Promise<void> {
    const { withServices } = await import('./services.js');
    await withServices(this.invocation, work);
  }
}

function tooManyKeys(roomFrom: Date): CommandFailedError {
  return new CommandFailedError(
    `Refused: verifiers read no more keys than are published now. The first is removed at ${roomFrom.toISOString()}.`,
  );
}
