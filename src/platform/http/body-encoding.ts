import type { FastifyRequest } from 'fastify';
import { UnsupportedMediaTypeError } from './problems/http.errors.js';

const CHARSET_PARAMETER = /;\s*charset\s*=\s*"?([^\s";]*)/i;

/**
 * Bodies are UTF-8, and no parser sees one that is compressed.
 *
 * @throws UnsupportedMediaTypeError
 */
export function refuseOtherEncodings({ headers }: Pick<FastifyRequest, 'headers'>): void {
  const charset = CHARSET_PARAMETER.exec(headers['content-type'] ?? '')?.[1];
  if (charset !== undefined && charset.toLowerCase() !== 'utf-8') {
    throw new UnsupportedMediaTypeError('charset');
  }
  const contentCoding = headers['content-encoding'];
  if (contentCoding !== undefined && contentCoding.toLowerCase() !== 'identity') {
    throw new UnsupportedMediaTypeError('content coding');
  }
}
