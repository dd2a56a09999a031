import { type DynamicModule, Module } from '@nestjs/common';
import { Config } from '../config/config.js';
import { Clock } from './clock.js';
import { ServerKeys } from './server-keys.js';
import { NO_SIBLINGS, Siblings } from './siblings.js';

/**
 * What every module may ask for: the configuration, the clock, the keys derived from `AUTH_SECRET`, and the other processes
 * of the instance.
 */
@Module({})
export class CommonModule {
  static forRoot(config: Config, siblings: Siblings = NO_SIBLINGS): DynamicModule {
    return {
      module: CommonModule,
      global: true,
      providers: [{ provide: Config, useValue: config }, { provide: Siblings, useValue: siblings }, Clock, ServerKeys],
      exports: [Config, Siblings, Clock, ServerKeys],
    };
  }
}
