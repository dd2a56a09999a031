import { Module } from '@nestjs/common';
import { PasskeysRepository } from './passkeys.repository.js';
import { PasskeysService } from './passkeys.service.js';

/** Verifies passkeys. Loaded where they are on, because its library is large. */
@Module({ providers: [PasskeysRepository, PasskeysService], exports: [PasskeysService] })
export class PasskeysModule {}
