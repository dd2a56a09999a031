import type { Counter, CounterSettings } from './counter.js';

/** Where counters that all instances share are kept. */
export abstract class Counters {
  abstract counter(settings: CounterSettings): Counter;
}
