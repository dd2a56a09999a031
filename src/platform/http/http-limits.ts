export interface HttpLimits {
  /** The header section, together with the request line. */
  readonly maxHeaderBytes: number;
  /** A request with this many headers is refused. */
  readonly maxHeaderCount: number;
  /** How many requests of one connection may await their answers; the next one gets 503, and the connection ends. */
  readonly maxUnansweredRequests: number;
  readonly headersTimeoutMs: number;
  /** Counts from the first byte of a request to the last of its body. */
  readonly requestTimeoutMs: number;
  /** How often the two limits above are enforced. */
  readonly timeoutCheckIntervalMs: number;
  /** Without a byte in either direction; longer than the slowest answer. */
  readonly connectionTimeoutMs: number;
  /** How long requests in flight may take when the service stops. */
  readonly drainDeadlineMs: number;
}

export const DEFAULT_HTTP_LIMITS: HttpLimits = {
  maxHeaderBytes: 16 * 1024,
  maxHeaderCount: 256,
  maxUnansweredRequests: 4,
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 15_000,
  timeoutCheckIntervalMs: 2_000,
  connectionTimeoutMs: 60_000,
  drainDeadlineMs: 10_000,
};
