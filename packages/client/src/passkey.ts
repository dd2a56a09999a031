import { INSIDE, type RatchetClient } from './client.js';
import type { Answer } from './service.js';

/** A passkey of the user who is signed in. */
export interface Passkey {
  readonly id: string;
  readonly name: string;
  /** RFC 3339, UTC. */
  readonly createdAt: string;
  readonly lastUsedAt: string | undefined;
  /** Whether it is kept elsewhere too, as in the user's account at the maker of the phone. */
  readonly isBackedUp: boolean;
}

/** As the service writes it. */
export interface PasskeyBody {
  readonly id: string;
  readonly name: string;
  readonly created_at: string;
  readonly last_used_at: string | null;
  readonly backed_up: boolean;
}

export function passkeyOf({ id, name, created_at, last_used_at, backed_up }: PasskeyBody): Passkey {
  return { id, name, createdAt: created_at, lastUsedAt: last_used_at ?? undefined, isBackedUp: backed_up };
}

export function codesIn({ recovery_codes = [] }: Answer['body']): readonly string[] {
  return recovery_codes as readonly string[];
}

/** A new factor counts for the session that has added it, which its next access token says. */
export async function renewed(client: RatchetClient): Promise<void> {
  await client[INSIDE].refresh().catch(() => undefined);
}
