import { type DynamicModule, Module } from '@nestjs/common';
import { Config } from '../config/config.js';
import { Clock } from './clock.js';
import { ServerKeys } from './server-keys.js';

/** What every module may ask for: the configuration, the clock, and the keys derived from `AUTH_SECRET`. */
@Module({})
export class CommonModule {
  static forRoot(config: Config): DynamicModule {
    return {
      module: CommonModule,
      global: true,
      providers: [{ provide: Config, useValue: config }, Clock, ServerKeys],
      exports: [Config, Clock, ServerKeys],
    };
  }
}
