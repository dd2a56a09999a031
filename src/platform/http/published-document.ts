import { createHash } from 'node:crypto';
import type { FastifyReply } from 'fastify';

/** A document that anyone may fetch and keep for a while. */
export interface PublishedDocument {
  readonly body: string | Buffer;
  /** A strong validator (RFC 9110 section 8.8.3), quotes included. */
  readonly entityTag: string;
  readonly mediaType: string;
}

export function publish(mediaType: string, body: string | Buffer): PublishedDocument {
  return { body, entityTag: `"${createHash('sha256').update(body).digest('base64url')}"`, mediaType };
}

/**
 * Sends the document, or 304 to a client that has it already. Takes the reply (`@Res()`) because the status, the media
 * type and the exact bytes depend on the request; Nest would set them from what the route returns.
 */
export function sendPublished(
  reply: FastifyReply,
  { body, entityTag, mediaType }: PublishedDocument,
  ifNoneMatch: string | undefined,
): void {
  void reply.header('etag', entityTag);
  if (isMatch(ifNoneMatch, entityTag)) {
    void reply.status(304).send();
  } else {
    // Bytes, because Fastify would add a `charset` to a string.
    void reply.type(mediaType).send(Buffer.from(body));
  }
}

/** RFC 9110 section 13.1.2: `*`, or any of the listed tags by weak comparison. */
function isMatch(ifNoneMatch: string | undefined, entityTag: string): boolean {
  const candidates = ifNoneMatch?.split(',').map((candidate) => candidate.trim().replace(/^W\//, '')) ?? [];
  return candidates.includes('*') || candidates.includes(entityTag);
}
