/**
 * No access token lives longer, whatever it says and whichever key signed it. How long revocations and retired keys are
 * kept is computed from this, because the configured lifetime may change while tokens are out.
 */
export const LONGEST_ACCESS_TOKEN_SECONDS = 3_600;

/**
 * How long an ended session is remembered: until its last access token has expired, plus two minutes for slow clocks.
 */
export const REVOCATION_WINDOW_SECONDS = LONGEST_ACCESS_TOKEN_SECONDS + 120;
