// Loaded before the service (node --import): every refresh sends a statement of its own over the pool, as before the
// queue existed. Everything else is unchanged. It is not a setting of the product, because it has no use there.
import { RotationQueueService } from '../../dist/tokens/rotation-queue.service.js';

RotationQueueService.prototype.rotate = function rotate(presentation, isStillWanted) {
  return new Promise((resolve, reject) => {
    this.retryAlone({ presentation, isStillWanted, resolve, reject });
  });
};
