import { setTimeout as pause } from 'node:timers/promises';
import { CommandFailedError } from './command.errors.js';
import { keyJson, keysTable, nameOf, planTable, transitionJson } from './keys.table.js';
import type { NamedKey, SwitchRequest } from '../keys/keys.types.js';
import type { WriteAnswer } from './run-command.js';
import type { Services } from './services.js';
import { type Invocation, writeNotice } from './terminal.js';

/** A whole rotation and its result. */
const PLANNED_TRANSITIONS = 6;

const RETRY_PAUSE_MS = 500;

const REPLACED_NOTICE = `Access tokens that it signed are refused; their clients refresh, and no user has to sign in.
Verifiers that fetch the keys for an unknown key id believe it no longer. These may, until they are restarted:
Quarkus OIDC, jwks-rsa, keyfunc, jwx, jwt-authorizer, fastapi-jwks, axioms, PyJWT (docs/verifying-tokens.md, "Keys"),
and gateways that cache the keys (docs/gateways.md).
If the thief could read the other keys as well, replace each that list shows.`;

/** One method per command. Each does the work, reports what it did, and closes what it opened. */
export class KeyTasks {
  constructor(
    private readonly invocation: Invocation,
    private readonly writeAnswer: WriteAnswer,
  ) {}

  async list(): Promise<void> {
    await this.withKeys(async ({ keys }) => {
      const overview = await keys.overview();
      this.writeAnswer({ text: (width) => keysTable(overview, width), json: overview.map(keyJson) });
    });
  }

  async plan(): Promise<void> {
    await this.withKeys(async ({ keys }) => {
      const transitions = await keys.plan(PLANNED_TRANSITIONS);
      this.writeAnswer({
        text: (width) =>
          transitions.length > 0
            ? planTable(transitions, width)
            : 'Nothing is due: the active key signs until you rotate it.',
        json: transitions.map(transitionJson),
      });
    });
  }

  async rotate(): Promise<void> {
    await this.withKeys(async ({ keys }) => {
      const rotation = await keys.rotate();
      switch (rotation.kind) {
        case 'published':
          this.writeAnswer({
            text: `Published ${nameOf(rotation.key)}. It starts to sign at ${rotation.signsFrom.toISOString()}.`,
            json: { event: 'published', ...keyNames(rotation.key), signs_from: rotation.signsFrom },
          });
          return;
        case 'activated':
          this.writeAnswer({
            text: `${nameOf(rotation.key)} signs: every instance uses it within 20 s.`,
            json: { event: 'activated', ...keyNames(rotation.key) },
          });
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
      const { key } = await this.switchTo(keys, () => keys.rotateEarly());
      this.writeAnswer({
        text: `${nameOf(key)} signs on every instance.`,
        json: { event: 'activated', ...keyNames(key) },
      });
      writeNotice(this.invocation, 'Verifiers that cache the keys may refuse new tokens until they fetch them again.');
    });
  }

  /** @param mayEndTokens it always ends tokens, so it is refused without */
  async replace(kid: string, { mayEndTokens }: { readonly mayEndTokens: boolean }): Promise<void> {
    if (!mayEndTokens) {
      throw new CommandFailedError(
        `Refused: every token that ${kid} signed would be refused, and gateways that cache the keys might refuse new ` +
          'ones for a while. --force accepts that. Where no key was stolen, use rotate.',
      );
    }
    await this.withKeys(async ({ keys }) => {
      const { key } = await this.switchTo(keys, () => keys.replace(kid), kid);
      this.writeAnswer({
        text: `${nameOf(key)} signs on every instance; ${kid} is gone.`,
        json: { event: 'activated', ...keyNames(key), removed_kid: kid },
      });
      writeNotice(this.invocation, REPLACED_NOTICE);
    });
  }

  async retire(kid: string, { mayEndTokens }: { readonly mayEndTokens: boolean }): Promise<void> {
    await this.withKeys(async ({ keys }) => {
      const retirement = await keys.retire(kid, mayEndTokens);
      switch (retirement.kind) {
        case 'removed':
          this.writeAnswer({
            text: `Removed ${kid}; instances refuse its tokens as soon as they have reloaded the keys.`,
            json: { event: 'removed', kid },
          });
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
          throw new CommandFailedError(`Refused: ${kid} is the key that signs. Use replace ${kid} --force.`);
        case 'signs_soon':
          throw new CommandFailedError(
            `Refused: ${kid} begins to sign at ${retirement.signsFrom.toISOString()}. Use replace ${kid} --force.`,
          );
        case 'unknown':
          throw new CommandFailedError(`There is no key ${kid}.`);
      }
    });
  }

  /** @throws CommandFailedError after all the others, when an authenticator app cannot be decrypted */
  async reencrypt(): Promise<void> {
    await this.withKeys(async ({ keys, factorReencryption }) => {
      const reencrypted = await keys.reencrypt();
      const factors = await factorReencryption.reencrypt();
      if (factors.unreadableCount > 0) {
        throw new CommandFailedError(
          `${factors.unreadableCount} of ${factors.totalCount} authenticator apps cannot be decrypted with AUTH_SECRET or any ` +
            'of AUTH_SECRET_ACCEPTED: list the secret that they were encrypted under. All else is under AUTH_SECRET now.',
        );
      }
      const apps =
        factors.totalCount > 0 ? ` and ${factors.changedCount} of ${factors.totalCount} authenticator apps` : '';
      this.writeAnswer({
        text: `Re-encrypted ${reencrypted.changedCount} of ${reencrypted.totalCount} keys${apps}; all are under AUTH_SECRET now.`,
        json: {
          reencrypted_keys: reencrypted.changedCount,
          total_keys: reencrypted.totalCount,
          reencrypted_totp_factors: factors.changedCount,
          total_totp_factors: factors.totalCount,
        },
      });
    });
  }

  /**
   * Asks for a switch, after one that another operator has asked for, and waits until it is complete.
   *
   * @param stolenKid the key that leaves
   */
  private async switchTo(
    keys: Services['keys'],
    request: () => Promise<SwitchRequest>,
    stolenKid?: string,
  ): Promise<{ readonly key: NamedKey }> {
    for (;;) {
      const requested = await request();
      switch (requested.kind) {
        case 'full':
          throw tooManyKeys(requested.roomFrom);
        case 'unknown':
          throw new CommandFailedError(
            `There is no key ${stolenKid}. If it was being replaced, that is done; see list.`,
          );
        case 'done':
          return requested;
        case 'busy':
        case 'scheduled':
          break;
      }
      const { kind, key, at } = requested;
      const what = `${nameOf(key)} signs from ${at.toISOString()}`;
      writeNotice(
        this.invocation,
        kind === 'busy'
          ? `Waiting for another change: ${what}…`
          : `${what}, when every instance knows it${stolenKid === undefined ? '' : `, and ${stolenKid} leaves then`}…`,
      );
      await this.untilSwitched(keys, key);
      if (kind === 'scheduled') {
        return requested;
      }
    }
  }

  private async untilSwitched(keys: Services['keys'], key: NamedKey): Promise<void> {
    while (!(await keys.isSwitchedTo(key.kid))) {
      if (this.invocation.interrupted.aborted) {
        throw new CommandFailedError(`Interrupted. The instances switch to ${nameOf(key)} all the same; see plan.`);
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

function keyNames({ kid, algorithm }: NamedKey): NamedKey {
  return { kid, algorithm };
}

function tooManyKeys(roomFrom: Date): CommandFailedError {
  return new CommandFailedError(
    `Refused: verifiers read no more keys than are published now. The first is removed at ${roomFrom.toISOString()}.`,
  );
}
