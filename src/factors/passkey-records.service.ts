import { Injectable } from '@nestjs/common';
import { type Connection, DatabaseService, type Transaction } from '../platform/database/database.service.js';
import { PasskeysRepository } from './passkeys.repository.js';
import type { Passkey } from './passkeys.types.js';

/** Lists, renames and removes passkeys, also where they cannot be used now. */
@Injectable()
export class PasskeyRecordsService {
  constructor(
    private readonly repository: PasskeysRepository,
    private readonly database: DatabaseService,
  ) {}

  /** The oldest first; with those of a domain that the service had before. */
  async list(userId: string, connection: Connection = this.database): Promise<readonly Passkey[]> {
    const rows = await this.repository.listPasskeys(connection, userId);
    return rows.map((row) => ({
      id: row.id.toString('base64url'),
      name: row.name,
      createdAt: row.created_at,
      lastUsedAt: row.last_used_at ?? undefined,
      isBackedUp: row.backed_up,
    }));
  }

  /** @returns false when the user has no such passkey */
  async rename(userId: string, id: string, name: string): Promise<boolean> {
    return this.database.settle(() =>
      this.repository.renamePasskey(this.database, Buffer.from(id, 'base64url'), userId, name),
    );
  }

  /** The caller holds the lock on the user's row. */
  async remove(transaction: Transaction, userId: string, id: string): Promise<void> {
    await this.repository.deletePasskey(transaction, Buffer.from(id, 'base64url'), userId);
  }
}
