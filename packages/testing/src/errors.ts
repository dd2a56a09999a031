/**
 * Everything that the kit answers except a success. `code` is stable: that of the problem, or one of `not_started`,
 * `start_failed`, `unreachable`, `connection_cut`, `not_a_runner` and `no_mail`. `message` says what was asked and what to do.
 */
export class RatchetTestError extends Error {
  /** The HTTP status, where there was an answer. */
  readonly status: number | undefined;
  readonly code: string;
  /** What the answer said about its cause, without the request. */
  readonly detail: string;
  /** With the code `second_factor_required`: what the second step of the sign-in takes. */
  readonly ticket: string | undefined;

  constructor(
    message: string,
    {
      code,
      status,
      detail = message,
      ticket,
    }: { readonly code: string; readonly status?: number; readonly detail?: string; readonly ticket?: string },
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
    this.status = status;
    this.detail = detail;
    this.ticket = ticket;
  }
}
