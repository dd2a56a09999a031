// One run of the product's clean-up, as another instance of the service would do it. Prints the number of deleted rows
// and the seconds as JSON.
import { Clock } from '../../dist/platform/common/clock.js';
import { ServerKeys } from '../../dist/platform/common/server-keys.js';
import { loadConfig } from '../../dist/platform/config/config.loader.js';
import { createPool } from '../../dist/platform/database/connection-pool.js';
import { DatabaseService } from '../../dist/platform/database/database.service.js';
import { FamiliesRepository } from '../../dist/tokens/families.repository.js';
import { TombstoneCleanerService } from '../../dist/tokens/tombstone-cleaner.service.js';

const config = loadConfig();
const pool = createPool({ url: config.database.url, poolSize: 1, canSet: true });
const database = new DatabaseService(pool, new Clock(), { canPrepare: true });
const cleaner = new TombstoneCleanerService(database, new FamiliesRepository(database, new ServerKeys(config), config));
const startedAt = performance.now();
const deleted = await cleaner.clean();
console.log(JSON.stringify({ deleted, seconds: (performance.now() - startedAt) / 1_000 }));
await pool.end();
