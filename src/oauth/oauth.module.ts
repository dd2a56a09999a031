import { Module } from '@nestjs/common';
import { KeysModule } from '../keys/keys.module.js';
import { AuthModule } from '../auth/auth.module.js';
import { IndexController } from './index.controller.js';
import { MetadataController } from './metadata.controller.js';
import { OAuthController } from './oauth.controller.js';

/** Serves standard OAuth clients: refresh and logout in the terms of RFC 6749 and RFC 7009, and RFC 8414 metadata. */
@Module({
  imports: [AuthModule, KeysModule],
  controllers: [IndexController, MetadataController, OAuthController],
})
export class OAuthModule {}
