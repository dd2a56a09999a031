import { Injectable } from '@nestjs/common';

/** Says in words for the log what keeps the instance from doing its work; undefined when nothing does. */
export type FindObstacle = () => string | undefined;

/** What features know about whether this instance can serve, without the health check knowing the features. */
@Injectable()
export class Readiness {
  private readonly checks: FindObstacle[] = [];
  private hasLeft = false;

  /** @param findObstacle answers from memory */
  addCheck(findObstacle: FindObstacle): void {
    this.checks.push(findObstacle);
  }

  /** Call when the shutdown begins: from then on, the instance is to get no more requests. */
  leave(): void {
    this.hasLeft = true;
  }

  get isLeaving(): boolean {
    return this.hasLeft;
  }

  findObstacle(): string | undefined {
    if (this.hasLeft) {
      return 'the instance is stopping';
    }
    for (const check of this.checks) {
      const obstacle = check();
      if (obstacle !== undefined) {
        return obstacle;
      }
    }
    return undefined;
  }
}
