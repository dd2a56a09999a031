// Loaded before the service (node --import): every refresh sends a statement of its own over the pool, as before the queue
// was there. Everything else is the service as it is. Not a setting of the product, because nobody should want it.
import { RotationQueueService } from '../../dist/tokens/rotation-queue.service.js';

RotationQueueService.prototype.rotate = function rotate(presentation, isStillWanted) {
  return new Promise((resolve, reject) => {
    this.retryAlone({ presentation, isStillWanted, resolve, reject });
  });
};
