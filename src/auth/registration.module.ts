import { Module } from '@nestjs/common';
import { OutboxModule } from '../mail/outbox.module.js';
import { UsersModule } from '../users/users.module.js';
import { RegistrationController } from './registration.controller.js';

/** Creates accounts at once, where no proof of the address is required. */
@Module({ imports: [OutboxModule, UsersModule], controllers: [RegistrationController] })
export class RegistrationModule {}
