import { Module } from '@nestjs/common';
import { AuthModule } from '../auth/auth.module.js';
import { MetadataController } from './metadata.controller.js';
import { OAuthController } from './oauth.controller.js';

/** Refresh and logout once more, in the words that standard OAuth clients speak, and the metadata they look for. */
@Module({
  imports: [AuthModule],
  controllers: [MetadataController, OAuthController],
})
export class OAuthModule {}
