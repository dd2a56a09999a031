import { Module } from '@nestjs/common';
import { UsersModule } from '../users/users.module.js';
import { RegistrationController } from './registration.controller.js';

/** Creates accounts at once, where no proof of the address is required. */
@Module({ imports: [UsersModule], controllers: [RegistrationController] })
export class RegistrationModule {}
