import type { ModuleMetadata } from '@nestjs/common';
import { PasskeysModule } from '../../factors/passkeys.module.js';
import type { FactorsConfig } from '../../platform/config/config.js';
import { PasskeyCeremoniesService } from './passkey-ceremonies.service.js';
import { PasskeyEnrolmentsService } from './passkey-enrolments.service.js';
import { PasskeySignInsService } from './passkey-sign-ins.service.js';
import { PasskeyVerifierService } from './passkey-verifier.service.js';
import { PasskeysController } from './passkeys.controller.js';
import { RelatedOriginsController } from './related-origins.controller.js';

/** What `AuthFactorsModule` has besides where passkeys are on, and what their library is loaded for. */
export function passkeyParts({ rpId, origins }: NonNullable<FactorsConfig['passkeys']>): ModuleMetadata {
  const isRelated = origins.some((origin) => isOutside(rpId, origin));
  return {
    imports: [PasskeysModule],
    controllers: [PasskeysController, ...(isRelated ? [RelatedOriginsController] : [])],
    providers: [PasskeyCeremoniesService, PasskeyEnrolmentsService, PasskeySignInsService, PasskeyVerifierService],
  };
}

/** An app has no host, and proves in another way that it belongs to the domain. */
function isOutside(rpId: string, origin: string): boolean {
  return origin.startsWith('http') && !`.${new URL(origin).hostname}`.endsWith(`.${rpId}`);
}
