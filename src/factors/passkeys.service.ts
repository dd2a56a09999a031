import { Injectable, Logger, type OnApplicationBootstrap } from '@nestjs/common';
import { messageOf } from '../platform/common/message-of.js';
import { Config } from '../platform/config/config.js';
import { type Connection, DatabaseService, type Transaction } from '../platform/database/database.service.js';
import { PasskeysRepository } from './passkeys.repository.js';
import type {
  AssertionCredential,
  AttestationCredential,
  CreationOptions,
  JudgedAssertion,
  Passkey,
  PasskeyAssertion,
  PasskeyReference,
  RegisteredPasskey,
  RequestOptions,
  Verification,
} from './passkeys.types.js';
import { creationOptions, requestOptions, verifyAssertion, verifyRegistration } from './webauthn.js';

/** An assertion that one request shows, as often as its transaction is retried. */
export interface PresentedAssertion extends PasskeyAssertion {
  /** The use of the passkey by an earlier attempt of the request, which the database may have lost. */
  usedAt?: string;
}

/**
 * Makes the options of WebAuthn ceremonies, verifies what comes of them, and keeps the passkeys. Whose turn a ceremony is, and
 * that its challenge is used once, is the caller's matter.
 */
@Injectable()
export class PasskeysService implements OnApplicationBootstrap {
  private readonly logger = new Logger(PasskeysService.name);
  private readonly relyingParty: {
    readonly rpId: string;
    readonly rpName: string;
    readonly origins: readonly string[];
  };

  constructor(
    private readonly repository: PasskeysRepository,
    private readonly database: DatabaseService,
    { factors }: Config,
  ) {
    this.relyingParty = factors?.passkeys ?? { rpId: '', rpName: '', origins: [] };
  }

  async onApplicationBootstrap(): Promise<void> {
    const { rpId } = this.relyingParty;
    try {
      const count = await this.repository.countForeignPasskeys(this.database, rpId);
      if (count > 0) {
        this.logger.warn({
          event: 'passkeys_orphaned',
          msg: 'passkeys were made for another WEBAUTHN_RP_ID than that of now, and cannot be used; their users sign in with another factor or a recovery code',
          count,
          rp_id: rpId,
        });
      }
    } catch (error) {
      this.logger.warn({
        event: 'passkeys_not_counted',
        msg: 'whether passkeys were made for another WEBAUTHN_RP_ID is not known, because the database cannot be reached',
        reason: messageOf(error),
      });
    }
  }

  /** Lists the passkeys of a user that can be used here. */
  async listUsable(connection: Connection, userId: string): Promise<readonly PasskeyReference[]> {
    const rows = await this.repository.listPasskeys(connection, userId);
    return rows
      .filter((row) => row.rp_id === this.relyingParty.rpId)
      .map(({ id, transports }) => ({ id: id.toString('base64url'), transports }));
  }

  /** @param existing those of the user, which their authenticators do not make again */
  creationOptions(
    challenge: string,
    user: { readonly id: string; readonly email: string },
    existing: readonly PasskeyReference[],
  ): CreationOptions {
    return creationOptions(challenge, this.relyingParty, user, existing);
  }

  /** @param allowed none when the passkey itself is to tell whose it is */
  requestOptions(
    challenge: string,
    allowed: readonly PasskeyReference[],
    userVerification: RequestOptions['userVerification'],
  ): RequestOptions {
    return requestOptions(challenge, this.relyingParty.rpId, allowed, userVerification);
  }

  /** Why one is refused is told to the log only. */
  async verifyRegistration(
    credential: AttestationCredential,
    challenge: string,
  ): Promise<Verification<RegisteredPasskey>> {
    return this.logged(await verifyRegistration(credential, { ...this.relyingParty, challenge }));
  }

  /**
   * Verifies an assertion by the passkey that it names, apart from its counter. Why one is refused is told to the log only.
   *
   * @param demands `ownerId` when it is known who asks; otherwise the passkey has to name its owner
   */
  async verifyAssertion(
    credential: AssertionCredential,
    challenge: string,
    demands: { readonly isUserVerified: boolean; readonly ownerId?: string },
  ): Promise<Verification<PasskeyAssertion>> {
    const { rpId } = this.relyingParty;
    const row = await this.repository.findPasskey(this.database, Buffer.from(credential.id, 'base64url'), rpId);
    if (row === undefined) {
      return this.logged({ kind: 'refused', reason: 'no such passkey' });
    }
    if (demands.ownerId !== undefined && demands.ownerId !== row.user_id) {
      return this.logged({ kind: 'refused', reason: 'the passkey of another user' });
    }
    const passkey = {
      id: credential.id,
      userId: row.user_id,
      publicKey: row.public_key,
      isBackupEligible: row.backup_eligible,
    };
    const expected = { ...this.relyingParty, challenge };
    const isOwnerNamed = demands.ownerId === undefined;
    return this.logged(
      await verifyAssertion(credential, passkey, expected, { isUserVerified: demands.isUserVerified, isOwnerNamed }),
    );
  }

  /**
   * Judges a verified assertion under the lock on its user's row: the passkey must still be there, and its counter must have
   * moved. One that has not says that there are two copies, and which of them is the owner's is not known: the passkey stays.
   */
  async judge(transaction: Transaction, presented: PresentedAssertion): Promise<JudgedAssertion> {
    const id = Buffer.from(presented.id, 'base64url');
    const { userId, signCount } = presented;
    const use = await this.repository.judgePasskey(transaction, id, userId, signCount);
    if (use === undefined) {
      return { isRight: false, use: () => Promise.resolve() };
    }
    // An attempt of this request that has committed, and whose answer was lost, has moved the counter.
    if (presented.usedAt !== undefined && presented.usedAt === use.last_used_at) {
      return { isRight: true, use: () => Promise.resolve() };
    }
    if (!use.has_moved) {
      this.logger.warn({
        event: 'passkey_clone_suspected',
        msg: 'a passkey was refused because its counter has not moved: there may be a copy of it; its user should remove it',
        user_id: userId,
      });
    }
    return {
      isRight: use.has_moved,
      use: async () => {
        const usedAt = await this.repository.usePasskey(transaction, id, userId, presented);
        if (usedAt === undefined) {
          throw new Error('a passkey was used under the lock on its user');
        }
        presented.usedAt = usedAt;
      },
    };
  }

  /**
   * Stores a passkey that `verifyRegistration` has verified. The caller holds the lock on the user's row.
   *
   * @returns undefined when there is one of that id, of whatever user
   */
  async add(
    transaction: Transaction,
    userId: string,
    registered: RegisteredPasskey,
    name: string,
  ): Promise<Passkey | undefined> {
    const { rpId } = this.relyingParty;
    const createdAt = await this.repository.insertPasskey(transaction, { ...registered, userId, rpId, name });
    return (
      createdAt && {
        id: registered.id,
        name,
        createdAt,
        lastUsedAt: undefined,
        isBackedUp: registered.isBackedUp,
      }
    );
  }

  private logged<T>(verification: Verification<T>): Verification<T> {
    if (verification.kind === 'refused') {
      this.logger.log({ event: 'passkey_refused', msg: 'a passkey was refused', reason: verification.reason });
    }
    return verification;
  }
}
