import { Injectable, Logger } from '@nestjs/common';
import { Config } from '../platform/config/config.js';
import type { Transaction } from '../platform/database/database.service.js';
import { forecast } from './key-forecast.js';
import {
  isComplete,
  type KeySettings,
  keySettingsOf,
  nextStep,
  publicationPossibleFrom,
  removableFrom,
  signsFrom,
  switchIn,
  switchPossibleFrom,
  tokensEndAt,
} from './key-rotation.policy.js';
import { KeysRepository } from './keys.repository.js';
import type {
  KeyTransition,
  PlannedTransition,
  KeyChange,
  KeyOverview,
  KeyRecord,
  KeySwitch,
  NamedKey,
  Reencryption,
  Retirement,
  Rotation,
  StoredKey,
  StoredKeys,
  SwitchRequest,
} from './keys.types.js';
import { generateSigningKey } from './signing-key.generator.js';
import { SigningKeyVault } from './signing-key.vault.js';

const CHANGE_SENTENCES: Readonly<Record<KeyChange['event'], string>> = {
  signing_key_published: 'published a signing key that does not sign yet',
  signing_key_scheduled: 'a signing key signs soon, on every instance at the same time',
  signing_key_activated: 'a signing key was activated; every instance signs with it within 20 s',
  signing_key_withdrawn: 'a signing key retires without having signed',
  signing_key_removed: 'removed a signing key',
};

/** A switch changes several keys, and has a method of its own. */
type Step = Exclude<KeyTransition, { readonly kind: 'switch' }>;

/** The keys while no other instance can change them. */
interface LockedKeys extends StoredKeys {
  /** The switch that has just been carried out. */
  readonly completed: KeySwitch | undefined;
  readonly perform: (step: Step) => Promise<NamedKey>;
  readonly schedule: (incoming: NamedKey, outgoing: NamedKey | undefined, at: Date) => Promise<void>;
}

/** Changes the set of signing keys, by the policy or for an operator, and logs every change after the commit. */
@Injectable()
export class KeyLifeCycleService {
  private readonly logger = new Logger(KeyLifeCycleService.name);
  private readonly settings: KeySettings;

  constructor(
    private readonly repository: KeysRepository,
    private readonly vault: SigningKeyVault,
    config: Config,
  ) {
    this.settings = keySettingsOf(config);
  }

  /**
   * Creates the first key. Instances that start together on an empty database end up with one, because the lock admits
   * one.
   */
  async ensureActiveKey(): Promise<void> {
    const changes = await this.repository.withKeysLocked(async (transaction) => {
      const { keys } = await this.repository.readKeys(transaction);
      return keys.some(({ status }) => status === 'active') ? [] : this.applyDueTransitions(transaction, kidsOf(keys));
    });
    this.report(changes);
  }

  /**
   * Applies in one transaction all transitions that are due by the policy.
   *
   * @param kidsAtStart the keys that were there when this instance was started
   * @returns whether anything has changed; false also while another instance holds the lock
   */
  async advance(kidsAtStart: ReadonlySet<string>): Promise<boolean> {
    const changes = await this.repository.tryWithKeysLocked((transaction) =>
      this.applyDueTransitions(transaction, kidsAtStart),
    );
    this.report(changes ?? []);
    return changes !== undefined && changes.length > 0;
  }

  async kids(): Promise<ReadonlySet<string>> {
    return kidsOf((await this.repository.readKeys()).keys);
  }

  async overview(): Promise<readonly KeyOverview[]> {
    const { keys } = await this.repository.readKeys();
    const settled = switchIn(keys);
    return keys.map((key) => {
      const isOutgoing = settled?.outgoing.includes(key) === true;
      return {
        ...recordOf(key),
        ...(key.status === 'next' ? { activatedAt: null, signsFrom: signsFrom(key, this.settings) } : {}),
        ...(key.status === 'retiring' ? { removedFrom: removableFrom(key, this.settings) } : {}),
        ...(isOutgoing ? { retiringAt: null, removedFrom: settled.at } : {}),
        secret: this.vault.isCurrent(key) ? 'current' : 'accepted',
      };
    });
  }

  /** Lists what a service with this configuration will do by itself. */
  async plan(most: number): Promise<readonly PlannedTransition[]> {
    const { keys, readAt } = await this.repository.readKeys();
    return forecast(keys, readAt, this.settings, most);
  }

  /** Publishes the next key now, or activates a waiting one that every cache must have by now. */
  rotate(): Promise<Rotation> {
    const { settings } = this;
    return this.change<Rotation>(async ({ keys, readAt, perform }) => {
      const next = keys.find(({ status }) => status === 'next');
      if (next === undefined) {
        const roomFrom = publicationPossibleFrom(keys, settings);
        if (roomFrom !== undefined) {
          return { kind: 'full', roomFrom };
        }
        const key = await perform({ kind: 'publish', algorithm: settings.algorithm });
        return { kind: 'published', key, signsFrom: signsFrom({ createdAt: readAt }, settings) };
      }
      const possibleFrom = signsFrom(next, settings);
      return readAt < possibleFrom
        ? { kind: 'too_early', key: next, signsFrom: possibleFrom }
        : { kind: 'activated', key: await perform({ kind: 'activate', kid: next.kid }) };
    });
  }

  /**
   * Lets the waiting key, or a new one, sign as soon as every instance must know of it, even if gateways do not. All
   * instances begin at the same time, also if no further call follows.
   */
  rotateEarly(): Promise<SwitchRequest> {
    return this.change<SwitchRequest>((locked) => {
      const { keys } = locked;
      const roomFrom = publicationPossibleFrom(keys, this.settings);
      return roomFrom !== undefined && keys.every(({ status }) => status !== 'next')
        ? { kind: 'full', roomFrom }
        : this.settle(locked, undefined);
    });
  }

  /**
   * Like `rotateEarly`, and in the same instant the stolen key leaves the set. So a verifier that fetches the set because
   * of the first token of the new key finds it without the stolen one. An eleventh key may be published until then.
   *
   * @param kid also of a key that does not sign: another key begins to sign all the same, so that verifiers fetch the set
   */
  replace(kid: string): Promise<SwitchRequest> {
    return this.change<SwitchRequest>((locked) => {
      const { keys, completed } = locked;
      if (completed?.outgoing.some((key) => key.kid === kid) === true) {
        return { kind: 'done', key: completed.incoming, at: completed.at };
      }
      const stolen = keys.find((key) => key.kid === kid);
      return stolen === undefined ? { kind: 'unknown' } : this.settle(locked, stolen);
    });
  }

  /** Returns whether every instance has switched to the key. */
  isSwitchedTo(kid: string): Promise<boolean> {
    return this.change(({ keys }) => !keys.some((key) => key.kid === kid && key.status === 'next'));
  }

  /**
   * Removes a key before its time. The active one stays, because nothing could be signed without it.
   *
   * @param mayEndTokens removes it even if tokens that it has signed may still be valid
   */
  retire(kid: string, mayEndTokens: boolean): Promise<Retirement> {
    return this.change<Retirement>(async ({ keys, readAt, perform }) => {
      const key = keys.find((each) => each.kid === kid);
      if (key === undefined || key.status === 'active') {
        return { kind: key === undefined ? 'unknown' : 'active' };
      }
      if (key.status === 'next' && key.activatedAt !== null) {
        return { kind: 'signs_soon', signsFrom: key.activatedAt };
      }
      const endAt = tokensEndAt(key);
      const endsTokens = readAt < endAt;
      if (endsTokens && !mayEndTokens) {
        return { kind: 'tokens_alive', tokensEndAt: endAt };
      }
      await perform({ kind: 'remove', kid });
      return endsTokens ? { kind: 'removed', tokensEndAt: endAt } : { kind: 'removed' };
    });
  }

  /**
   * Encrypts under the current `AUTH_SECRET` every key that is encrypted under another one: all or nothing.
   *
   * @throws SigningKeyUnreadableError when one is encrypted under none of the configured secrets
   */
  reencrypt(): Promise<Reencryption> {
    return this.repository.withKeysLocked(async (transaction) => {
      const { keys } = await this.repository.readKeys(transaction);
      const others = keys.filter((key) => !this.vault.isCurrent(key));
      for (const key of others) {
        const sealed = this.vault.seal(this.vault.open(key), key.kid);
        await this.repository.replacePrivateKey(transaction, key.kid, sealed);
      }
      return { changedCount: others.length, totalCount: keys.length };
    });
  }

  /** Settles a switch unless one is settled already. */
  private async settle(
    { keys, readAt, perform, schedule }: LockedKeys,
    stolen: StoredKey | undefined,
  ): Promise<SwitchRequest> {
    const settled = switchIn(keys);
    if (settled !== undefined) {
      const isAskedFor = stolen === undefined || settled.outgoing.includes(stolen);
      return { kind: isAskedFor ? 'scheduled' : 'busy', key: settled.incoming, at: settled.at };
    }
    let key: NamedKey | undefined = keys.find(({ status }) => status === 'next');
    if (key !== undefined && key === stolen) {
      await perform({ kind: 'withdraw', kid: key.kid });
      key = undefined;
    }
    key ??= await perform({ kind: 'publish', algorithm: this.settings.algorithm });
    const at = switchPossibleFrom(readAt);
    await schedule(key, stolen, at);
    return { kind: 'scheduled', key, at };
  }

  /** Runs `decide` on the locked keys, after a switch that is complete, and logs what changed after the commit. */
  private async change<T>(decide: (locked: LockedKeys) => Promise<T> | T): Promise<T> {
    const { result, changes } = await this.repository.withKeysLocked(async (transaction) => {
      const changes: KeyChange[] = [];
      let stored = await this.repository.readKeys(transaction);
      const settled = switchIn(stored.keys);
      const completed = settled !== undefined && isComplete(settled, stored.readAt) ? settled : undefined;
      if (completed !== undefined) {
        changes.push(...(await this.carryOut(transaction, completed)));
        stored = await this.repository.readKeys(transaction);
      }
      const result = await decide({
        ...stored,
        completed,
        perform: async (transition) => {
          const change = await this.perform(transaction, transition, stored);
          changes.push(change);
          return change;
        },
        schedule: async (incoming, outgoing, at) => {
          await this.repository.scheduleSwitch(transaction, incoming.kid, outgoing?.kid, at);
          changes.push({ event: 'signing_key_scheduled', kid: incoming.kid, algorithm: incoming.algorithm });
        },
      });
      return { result, changes };
    });
    this.report(changes);
    return result;
  }

  private async applyDueTransitions(
    transaction: Transaction,
    kidsAtStart: ReadonlySet<string>,
  ): Promise<readonly KeyChange[]> {
    const changes: KeyChange[] = [];
    for (;;) {
      const stored = await this.repository.readKeys(transaction);
      const step = nextStep(stored.keys, stored.readAt, this.settings, kidsAtStart);
      if (step.kind === 'wait') {
        return changes;
      }
      if (step.kind === 'switch') {
        changes.push(...(await this.carryOut(transaction, step.to)));
      } else {
        changes.push(await this.perform(transaction, step, stored));
      }
    }
  }

  private async carryOut(
    transaction: Transaction,
    { at, incoming, outgoing }: KeySwitch,
  ): Promise<readonly KeyChange[]> {
    for (const { kid } of outgoing) {
      await this.repository.deleteKey(transaction, kid);
    }
    await this.repository.activateKey(transaction, incoming.kid, at);
    return [
      ...outgoing.map(({ kid, algorithm }) => ({ event: 'signing_key_removed' as const, kid, algorithm })),
      { event: 'signing_key_activated', kid: incoming.kid, algorithm: incoming.algorithm },
    ];
  }

  private async perform(transaction: Transaction, transition: Step, { keys, readAt }: StoredKeys): Promise<KeyChange> {
    if (transition.kind === 'publish') {
      const { kid, privateKey, publicJwk } = await generateSigningKey(transition.algorithm);
      const sealed = this.vault.seal(privateKey, kid);
      const key = { kid, algorithm: transition.algorithm, publicJwk, ...sealed };
      await this.repository.insertNextKey(transaction, key, readAt);
      return { event: 'signing_key_published', kid, algorithm: transition.algorithm };
    }
    const key = keys.find(({ kid }) => kid === transition.kid);
    if (key === undefined) {
      throw new Error('a signing key vanished while the keys were locked');
    }
    const { kid, algorithm } = key;
    switch (transition.kind) {
      case 'activate':
        await this.repository.activateKey(transaction, kid, readAt);
        return { event: 'signing_key_activated', kid, algorithm };
      case 'withdraw':
        await this.repository.withdrawKey(transaction, kid, readAt);
        return { event: 'signing_key_withdrawn', kid, algorithm };
      case 'remove':
        await this.repository.deleteKey(transaction, kid);
        return { event: 'signing_key_removed', kid, algorithm };
    }
  }

  private report(changes: readonly KeyChange[]): void {
    for (const { event, kid, algorithm } of changes) {
      this.logger.log({ event, msg: CHANGE_SENTENCES[event], kid, algorithm });
    }
  }
}

function kidsOf(keys: readonly NamedKey[]): ReadonlySet<string> {
  return new Set(keys.map(({ kid }) => kid));
}

/** Without what only the vault needs. */
function recordOf({ kid, algorithm, status, createdAt, activatedAt, retiringAt }: StoredKey): KeyRecord {
  return { kid, algorithm, status, createdAt, activatedAt, retiringAt };
}
