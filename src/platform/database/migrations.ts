import type { MigrationInterface } from 'typeorm';
import { CreateCoreTables1764000000000 } from './migrations/1764000000000-create-core-tables.js';
import { CreateRateLimits1764100000000 } from './migrations/1764100000000-create-rate-limits.js';
import { OneKeySigns1764200000000 } from './migrations/1764200000000-one-key-signs.js';
import { KeepRetryKeys1764300000000 } from './migrations/1764300000000-keep-retry-keys.js';
import { FindEndedSessionsOfUser1764300100000 } from './migrations/1764300100000-find-ended-sessions-of-user.js';
import { CreateInstances1764400000000 } from './migrations/1764400000000-create-instances.js';
import { RecordAuthentication1764800000000 } from './migrations/1764800000000-record-authentication.js';
import { CreateTickets1764900000000 } from './migrations/1764900000000-create-tickets.js';
import { CreateMails1765000000000 } from './migrations/1765000000000-create-mails.js';
import { CreateFactors1765100000000 } from './migrations/1765100000000-create-factors.js';

/** Listed in the order in which they run. The database records them by their names. */
export const MIGRATIONS: readonly (new () => MigrationInterface)[] = [
  CreateCoreTables1764000000000,
  CreateRateLimits1764100000000,
  OneKeySigns1764200000000,
  KeepRetryKeys1764300000000,
  FindEndedSessionsOfUser1764300100000,
  CreateInstances1764400000000,
  RecordAuthentication1764800000000,
  CreateTickets1764900000000,
  CreateMails1765000000000,
  CreateFactors1765100000000,
];
