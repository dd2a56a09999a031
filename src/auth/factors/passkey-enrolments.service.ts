import { Injectable } from '@nestjs/common';
import { SecondFactorInvalidError, TooManyPasskeysError } from '../../factors/factors.errors.js';
import { PasskeyRecordsService } from '../../factors/passkey-records.service.js';
import { PasskeysService } from '../../factors/passkeys.service.js';
import { type CreationOptions, type Passkey, PASSKEYS_PER_USER } from '../../factors/passkeys.types.js';
import { NotFoundError } from '../../platform/common/domain.errors.js';
import type { Transaction } from '../../platform/database/database.service.js';
import type { Client, Identity } from '../auth.types.js';
import { FactorChangesService } from './factor-changes.service.js';
import { PasskeyCeremoniesService } from './passkey-ceremonies.service.js';
import { readAttestation } from './passkey-credentials.js';
import type { BegunCeremony } from './passkey-sign-ins.service.js';
import { methodsOfPasskey } from './passkey-verifier.service.js';

/** What registering a passkey has made. */
export interface EnrolledPasskey {
  readonly passkey: Passkey;
  /** Shown to the user once; undefined when they keep those that they have. */
  readonly recoveryCodes: readonly string[] | undefined;
}

/** Adds, renames and removes the passkeys of a user, from one of their sessions. */
@Injectable()
export class PasskeyEnrolmentsService {
  constructor(
    private readonly changes: FactorChangesService,
    private readonly ceremonies: PasskeyCeremoniesService,
    private readonly passkeys: PasskeysService,
    private readonly records: PasskeyRecordsService,
  ) {}

  /**
   * Begins the registration of a passkey.
   *
   * @throws InsufficientUserAuthenticationError, TooManyPasskeysError, AccountDisabledError
   */
  async begin(identity: Identity): Promise<BegunCeremony<CreationOptions>> {
    const ticket = this.ceremonies.newTicket();
    const { userId, sessionId } = identity;
    const { options } = await this.changes.carryOut(identity, {
      apply: async (transaction, user) => {
        this.changes.requireAuthentication(identity, user);
        await this.requireRoom(transaction, userId);
        await this.ceremonies.begin(transaction, ticket, user, { kind: 'registration', userId, sessionId });
        const existing = await this.passkeys.listUsable(transaction, userId);
        const made = this.passkeys.creationOptions(this.ceremonies.challengeOf(ticket), user, existing);
        return { options: made, endedIds: [] };
      },
      // It is idempotent, and changes nothing that it asks for.
      isApplied: () => Promise.resolve(false),
    });
    return { ticket: this.ceremonies.tokenOf(ticket), options };
  }

  /**
   * Registers the passkey that a browser has made, and raises the session by it. The sign-in has to be as recent as it had to
   * be when the registration was begun.
   *
   * @throws ValidationFailedError, TicketInvalidError nothing was verified
   * @throws SecondFactorInvalidError also for a passkey that is registered already
   * @throws InsufficientUserAuthenticationError, TooManyPasskeysError, AccountDisabledError
   */
  async complete(
    identity: Identity,
    {
      ticket,
      credential,
      name,
    }: { readonly ticket: string; readonly credential: Readonly<Record<string, unknown>>; readonly name: string },
    client: Client,
  ): Promise<EnrolledPasskey> {
    const attestation = readAttestation(credential);
    const { userId, sessionId } = identity;
    const { challenge, begunAtSeconds } = await this.ceremonies.consume(
      ticket,
      { kind: 'registration', userId, sessionId },
      client,
    );
    const verification = await this.passkeys.verifyRegistration(attestation, challenge);
    if (verification.kind === 'refused') {
      throw new SecondFactorInvalidError(verification.reason);
    }
    const registered = verification.value;
    const prepared = this.changes.prepare();
    return this.changes.carryOut(identity, {
      apply: async (transaction, user) => {
        this.changes.requireAuthentication(identity, user, begunAtSeconds);
        await this.requireRoom(transaction, userId);
        const passkey = await this.passkeys.add(transaction, userId, registered, name);
        if (passkey === undefined) {
          throw new SecondFactorInvalidError('the passkey is registered already');
        }
        const changed = await this.changes.recordAddition(transaction, user, identity, {
          factor: 'passkey',
          methods: methodsOfPasskey(registered),
          prepared,
        });
        return { ...changed, passkey };
      },
      isApplied: (transaction) => this.hasPasskey(transaction, userId, registered.id),
    });
  }

  /** @throws NotFoundError */
  async rename({ userId }: Identity, id: string, name: string): Promise<Passkey> {
    const isRenamed = await this.records.rename(userId, id, name);
    const passkey = isRenamed ? (await this.records.list(userId)).find((each) => each.id === id) : undefined;
    if (passkey === undefined) {
      throw new NotFoundError('no such passkey');
    }
    return passkey;
  }

  /**
   * Removes a passkey. The recovery codes go with the last factor of the user.
   *
   * @throws NotFoundError, InsufficientUserAuthenticationError, AccountDisabledError
   */
  async remove(identity: Identity, id: string): Promise<void> {
    const { userId } = identity;
    const { mailId } = this.changes.prepare();
    await this.changes.carryOut(identity, {
      apply: async (transaction, user) => {
        const passkeys = await this.records.list(userId, transaction);
        if (!passkeys.some((each) => each.id === id)) {
          throw new NotFoundError('no such passkey');
        }
        this.changes.requireAuthentication(identity, user);
        await this.records.remove(transaction, userId, id);
        await this.changes.recordRemoval(transaction, user, {
          factor: 'passkey',
          hasMore: passkeys.length > 1,
          mailId,
        });
        return { endedIds: [] };
      },
      isApplied: async (transaction) => !(await this.hasPasskey(transaction, userId, id)),
    });
  }

  private async requireRoom(transaction: Transaction, userId: string): Promise<void> {
    if ((await this.records.list(userId, transaction)).length >= PASSKEYS_PER_USER) {
      throw new TooManyPasskeysError();
    }
  }

  private async hasPasskey(transaction: Transaction, userId: string, id: string): Promise<boolean> {
    return (await this.records.list(userId, transaction)).some((each) => each.id === id);
  }
}
