/**
 * What `@ratchet/testing` runs the service with. Published as `@ratchet/server/internal`, which may change in any
 * version.
 */
export { Config } from './platform/config/config.js';
export { AppModule } from './app.module.js';
export { createApp } from './app.setup.js';
export type { Logger } from 'pino';
export { AccessTokenIssuer } from './auth/access-tokens/access-token.issuer.js';
export { toTokenPairDto } from './auth/auth.dto.js';
export { SessionsService } from './auth/sessions/sessions.service.js';
export { SignInsService } from './auth/sessions/sign-ins.service.js';
export { KeyLifeCycleService } from './keys/key-life-cycle.service.js';
export { KeyRotationService } from './keys/key-rotation.service.js';
export { KeysService } from './keys/keys.service.js';
export type { SigningKey } from './keys/keys.types.js';
export { RefusedTokenLimiterService } from './limits/refused-token-limiter.service.js';
export { toOAuthAnswer } from './oauth/oauth-error.js';
export { Clock } from './platform/common/clock.js';
export { DomainError, type ProblemCode } from './platform/common/domain.errors.js';
export { ServerKeys } from './platform/common/server-keys.js';
export { VERSION } from './platform/common/version.js';
export { TEST_KIT_SECRET } from './platform/config/auth-secret.policy.js';
export { ConfigurationError } from './platform/config/config.errors.js';
export { loadConfig } from './platform/config/config.loader.js';
export { configVariableList } from './platform/config/config.variables.js';
export { MIGRATIONS } from './platform/database/migrations.js';
export { DatabaseClock } from './platform/database/database-clock.js';
export { isUniqueViolation } from './platform/database/database.errors.js';
export { DatabaseService } from './platform/database/database.service.js';
export { migrateDatabase } from './platform/database/migrate.js';
export { connectClient } from './platform/database/with-client.js';
export { DEFAULT_HTTP_LIMITS } from './platform/http/http-limits.js';
export { PROBLEM_CATALOGUE } from './platform/http/problems/problem.catalogue.js';
export { outcomeOf, toProblem } from './platform/http/problems/problem.js';
export { type PublishedDocument, publish } from './platform/http/published-document.js';
export { sessionOf } from './platform/http/request-session.js';
export { createLogger } from './platform/logging/logger.js';
export { encodeRefreshToken } from './tokens/refresh-token.codec.js';
export { RevokedSessionsService } from './tokens/revoked-sessions.service.js';
export { RefreshTokenReusedError } from './tokens/tokens.errors.js';
export { TokensService } from './tokens/tokens.service.js';
export type { SessionGrant } from './tokens/tokens.types.js';
export { TombstoneCleanerService } from './tokens/tombstone-cleaner.service.js';
export { parseEmailAddress } from './users/email-address.js';
export { PasswordHasherService } from './users/password-hasher.service.js';
export { encodePassword } from './users/password-policy.js';
export { parseRoleNames } from './users/role-names.js';
export { UsersService } from './users/users.service.js';
