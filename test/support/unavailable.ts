import { expect } from 'vitest';
import type { Response } from 'supertest';
import { expectProblem } from './problem.js';

/** A whole 503 that tells when to come back. */
export function expectUnavailable(response: Response, code: 'temporarily_unavailable' | 'outcome_unknown'): void {
  expectProblem(response, code);
  expect(response.headers['retry-after']).toBe('1');
}
