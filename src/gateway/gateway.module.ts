import { Module } from '@nestjs/common';
import { VerifyController } from './verify.controller.js';

/** What an API gateway asks before it lets a request through. */
@Module({ controllers: [VerifyController] })
export class GatewayModule {}
