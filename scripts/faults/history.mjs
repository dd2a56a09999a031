/** How long an instance may believe what it last read of ended sessions: `REVOCATION_MAX_STALENESS_SECONDS`. */
const STALENESS_MS = 5_000;

/** Between the clock of a client and the moment at which an instance judged. */
const SLACK_MS = 1_000;

const SERVED = new Set(['temporarily_unavailable', 'overloaded', 'outcome_unknown']);

/**
 * What clients were told, judged while it happens. Every check is a sentence of docs/rotation.md or docs/api.md that
 * no fault may break; the numbers are those of the invariants in ARCHITECTURE.md.
 */
export class History {
  operations = new Map();
  violations = [];
  outcomes = new Map();

  constructor(onViolation) {
    this.onViolation = onViolation;
  }

  get operationCount() {
    return [...this.operations.values()].reduce((sum, count) => sum + count, 0);
  }

  count(operation, answer) {
    this.onAnswer?.(operation, answer);
    this.operations.set(operation, (this.operations.get(operation) ?? 0) + 1);
    const outcome = answer === undefined ? `${operation}: lost` : `${operation}: ${answer.status} ${answer.code ?? ''}`;
    this.outcomes.set(outcome.trim(), (this.outcomes.get(outcome.trim()) ?? 0) + 1);
    if (answer !== undefined && answer.status >= 500 && !(answer.status === 503 && SERVED.has(answer.code))) {
      this.violation('an undocumented answer', `${operation}: ${answer.status} ${answer.text}`);
    }
  }

  violation(kind, details, session) {
    const found = { kind, details, events: session?.events.slice(-30) ?? [] };
    this.violations.push(found);
    this.onViolation(found);
  }

  /** Invariants 1, 2 and 5: every presentation of one token that is granted yields the same, next, token. */
  granted(session, presented, successor) {
    const [from, to] = [readToken(presented), readToken(successor)];
    const known = session.successors.get(presented);
    if (known !== undefined && known !== successor) {
      this.violation('invariant 2: a token was exchanged twice', `generation ${from.generation}`, session);
    }
    session.successors.set(presented, successor);
    if (to.family !== from.family || to.generation !== from.generation + 1) {
      this.violation('invariant 1: not the successor', `${from.generation} became ${to.generation}`, session);
    }
    if (session.isEnded) {
      this.violation('invariant 4: an ended session was refreshed', session.endedBy, session);
    }
  }

  /** Invariant 6: nothing signs an honest client out, unless something has ended its session. */
  refused(session, answer) {
    if (!session.isEnded && !session.isEndUncertain) {
      this.violation('invariant 6: an honest client was signed out', `${answer.status} ${answer.text}`, session);
    }
  }

  /** Invariant 4: an access token of an ended session is refused everywhere when the news have had their time. */
  believed(session, sentAt, instance) {
    const sinceMs = sentAt - session.endedAt;
    const isOwn = instance === session.endedAtInstance;
    if (session.isEnded && (sinceMs > STALENESS_MS + SLACK_MS || (isOwn && sinceMs > 0))) {
      this.violation(
        'invariant 4: an access token was accepted after its session had ended',
        `${Math.round(sinceMs)} ms after, by ${isOwn ? 'the same' : 'another'} instance`,
        session,
      );
    }
  }
}

/** The fields of a refresh token that tell its place, by docs/rotation.md. */
export function readToken(token) {
  const bytes = Buffer.from(token.slice('rt1.'.length), 'base64url');
  return { family: bytes.toString('hex', 1, 17), generation: bytes.readUInt32BE(33) };
}
