import { type DynamicModule, Module } from '@nestjs/common';
import { Config } from '../config/config.js';
import { Clock } from './clock.js';
import { Readiness } from './readiness.js';
import { ServerKeys } from './server-keys.js';

/** What every module may ask for: the configuration, the clock, the keys derived from `AUTH_SECRET`,
 * and a place to say that it cannot work. */
@Module({})
export class CommonModule {
  static forRoot(config: Config): DynamicModule {
    return {
      module: CommonModule,
      global: true,
      providers: [{ provide: Config, useValue: config }, Clock, Readiness, ServerKeys],
      exports: [Config, Clock, Readiness, ServerKeys],
    };
  }
}
