import { Injectable } from '@nestjs/common';

/** The only source of time in the process; decisions about tokens use the database's clock instead. */
@Injectable()
export class Clock {
  now(): Date {
    return new Date();
  }

  /** Milliseconds on a clock that never goes backwards and has no relation to the time of day. */
  monotonicMs(): number {
    return performance.now();
  }
}

/** The instant so many seconds after another one, or before it when they are negative. */
export function addSeconds(instant: Date, seconds: number): Date {
  return new Date(instant.getTime() + seconds * 1_000);
}
