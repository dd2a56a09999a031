// What the page says about each code of the service.

/** An answer that reports a problem: of the service, the gateway or a backend. It has what the client's own errors have. */
export class ProblemError extends Error {
  constructor(status, problem, retryAfterSeconds) {
    const code = problem.code ?? (status >= 500 ? 'temporarily_unavailable' : `status_${status}`);
    super(code);
    Object.assign(this, { code, status, problem, retryAfterSeconds });
  }

  static async of(response) {
    const problem = await response.json().catch(() => ({}));
    const seconds = Number.parseInt(response.headers.get('retry-after') ?? '', 10);
    return new ProblemError(response.status, problem, Number.isNaN(seconds) ? undefined : seconds);
  }
}

const AWAY = 'The service does not answer at the moment. Please try again shortly.';

const TEXTS = {
  invalid_credentials: 'The e-mail address or the password is not right.',
  account_disabled: 'This account is disabled. Please ask the person who looks after your accounts.',
  email_taken: 'There is an account with this address already. Sign in instead?',
  too_many_attempts: 'Too many attempts. Please wait a moment.',
  overloaded: 'The service is very busy. Please try again shortly.',
  temporarily_unavailable: AWAY,
  unavailable: AWAY,
  outcome_unknown: 'The service cannot say whether that has worked. Please try again.',
  cross_site_request: 'This address of the page is not one from which you can sign in. Ask for the right one.',
  insufficient_role: 'Your account may not do this.',
  code_invalid: 'This code is not right. Please look at the latest mail.',
  second_factor_invalid: 'This code is not right, or was used already.',
  no_mail: 'This service does not send mails for that.',
  signed_out: 'You are signed out.',
  not_found: 'That is not there any more.',
};

const ENDINGS = {
  elsewhere: 'You signed out in another tab.',
  session_revoked: 'This session was ended from another place.',
  access_token_revoked: 'This session was ended from another place.',
  session_expired: 'This session has reached its end. Please sign in again.',
  refresh_token_reused:
    'This session was ended for your safety: a copy of it was used. If you have not done that yourself, change your password.',
  account_disabled: TEXTS.account_disabled,
};

/** Whether the same request can work a little later. */
export function isTemporary({ code }) {
  return ['overloaded', 'temporarily_unavailable', 'unavailable', 'outcome_unknown'].includes(code);
}

/** A sentence for people, whatever was thrown. */
export function describeProblem({ code }) {
  return TEXTS[code] ?? `Something went wrong${code === undefined ? '' : ` (${code})`}. Please try again.`;
}

const PASSKEY_TEXTS = {
  NotAllowedError: 'No passkey was used. Please try again, or choose another way.',
  InvalidStateError: 'This device has a passkey of your account already.',
  second_factor_invalid:
    'This passkey does not belong to an account here, or your device has not checked that it is you.',
  not_found: 'This service has no passkeys.',
  ticket_invalid: 'That took too long. Please try again.',
};

/** A sentence for what the browser, or the service, says about a passkey. */
export function describePasskeyProblem(problem, describe = describeProblem) {
  return PASSKEY_TEXTS[problem.code] ?? PASSKEY_TEXTS[problem.name] ?? describe(problem);
}

const STALE = {
  link: 'This link has expired, was used already, or belongs to another account. Please ask for a new one.',
  code: 'This code has expired, or was tried too often. Please ask for a new one.',
};

/**
 * A sentence for what goes by mail. A service that sends none does not have the routes.
 *
 * @param means `link` or `code`: what the mail has brought
 */
export function describeMailProblem(problem, means) {
  if (problem.code === 'ticket_invalid') {
    return STALE[means];
  }
  return describeProblem(problem.status === 404 ? { code: 'no_mail' } : problem);
}

/**
 * @param session as `useSession` has it
 * @returns a sentence, undefined where that surprises no one: by a sign-out here, or at a first visit
 */
export function describeEnding({ reason, before }) {
  const isExpected = reason === undefined || reason === 'here' || (before === 'unknown' && !(reason in ENDINGS));
  return isExpected ? undefined : (ENDINGS[reason] ?? 'Your session has ended. Please sign in again.');
}
