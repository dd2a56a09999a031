interface PurposeDefinition {
  readonly lifetimeSeconds: number;
  /**
   * Whether a change of the user's password, e-mail address or factors kills the ticket. An undo link must outlive such
   * a change: the intruder whom it is for would make one.
   */
  readonly isBoundToCredentials: boolean;
}

/** What tickets are for. The name stands in the row. None lives longer than an accepted secret is kept, 72 hours. */
export const TICKET_PURPOSES = {
  second_factor: { lifetimeSeconds: 300, isBoundToCredentials: true },
  webauthn: { lifetimeSeconds: 300, isBoundToCredentials: true },
  registration: { lifetimeSeconds: 86_400, isBoundToCredentials: true },
  password_reset: { lifetimeSeconds: 1_800, isBoundToCredentials: true },
  email_change: { lifetimeSeconds: 3_600, isBoundToCredentials: true },
  email_change_undo: { lifetimeSeconds: 259_200, isBoundToCredentials: false },
  email_verification: { lifetimeSeconds: 3_600, isBoundToCredentials: true },
  sign_in_code: { lifetimeSeconds: 600, isBoundToCredentials: true },
  oidc_flow: { lifetimeSeconds: 600, isBoundToCredentials: true },
  exchange: { lifetimeSeconds: 60, isBoundToCredentials: true },
  identity_link: { lifetimeSeconds: 600, isBoundToCredentials: true },
} as const satisfies Readonly<Record<string, PurposeDefinition>>;

export type TicketPurpose = keyof typeof TICKET_PURPOSES;

interface FormDefinition {
  readonly purpose: TicketPurpose;
  /** What has to be right besides the token. Wrong ones are counted. */
  readonly needs: 'nothing' | 'code' | 'second factor';
}

/**
 * The tokens of a ticket by their prefix. A purpose with a typed code has two: the client that asked holds one, which is
 * good for nothing without the code, and the mailbox gets the other, in a link. Both are of the same row, so either one
 * uses up both.
 */
export const TICKET_FORMS = {
  lg1: { purpose: 'second_factor', needs: 'second factor' },
  wa1: { purpose: 'webauthn', needs: 'nothing' },
  rg1: { purpose: 'registration', needs: 'code' },
  rl1: { purpose: 'registration', needs: 'nothing' },
  pr1: { purpose: 'password_reset', needs: 'nothing' },
  ec1: { purpose: 'email_change', needs: 'code' },
  el1: { purpose: 'email_change', needs: 'nothing' },
  eu1: { purpose: 'email_change_undo', needs: 'nothing' },
  ev1: { purpose: 'email_verification', needs: 'code' },
  vl1: { purpose: 'email_verification', needs: 'nothing' },
  sc1: { purpose: 'sign_in_code', needs: 'code' },
  sl1: { purpose: 'sign_in_code', needs: 'nothing' },
  of1: { purpose: 'oidc_flow', needs: 'nothing' },
  xc1: { purpose: 'exchange', needs: 'nothing' },
  lk1: { purpose: 'identity_link', needs: 'nothing' },
} as const satisfies Readonly<Record<string, FormDefinition>>;

export type TicketForm = keyof typeof TICKET_FORMS;

type FormWith<Definition> = {
  [Form in TicketForm]: (typeof TICKET_FORMS)[Form] extends Definition ? Form : never;
}[TicketForm];

export type FormOf<Purpose extends TicketPurpose> = FormWith<{ readonly purpose: Purpose }>;

/** A token of it is enough. */
export type SufficientForm = FormWith<{ readonly needs: 'nothing' }>;

/** A token of it is good for nothing without a proof. */
export type InsufficientForm = Exclude<TicketForm, SufficientForm>;

export type CodedPurpose = (typeof TICKET_FORMS)[FormWith<{ readonly needs: 'code' }>]['purpose'];

/** What a token and a row have in common. Everything secret about a ticket is computed from it. */
export interface Ticket<Purpose extends TicketPurpose = TicketPurpose> {
  /** Random; canonical lower-case UUID. */
  readonly id: string;
  readonly purpose: Purpose;
  /** Id of the server key that its tokens and its code are made with. */
  readonly keyId: number;
}

/** A ticket whose token has been presented and is authentic. Whether it is still good only `consume` tells. */
export interface PresentedTicket<Form extends TicketForm = TicketForm> extends Ticket<
  (typeof TICKET_FORMS)[Form]['purpose']
> {
  readonly form: Form;
}

/** What is computed from a ticket, apart from its code. */
export type TicketDerivation = 'webauthn challenge' | 'pkce verifier' | 'oidc nonce';

/** A user's row under the lock of the transaction at hand. */
export interface TicketHolder {
  readonly id: string;
  readonly credentialVersion: number;
}

export interface TicketContents {
  readonly userId: string | undefined;
  /** Canonical. */
  readonly email: string | undefined;
  /** What the issuer wants back; never anything that would let in on its own. */
  readonly data: Readonly<Record<string, unknown>>;
  /** By the database's clock, to the millisecond before. */
  readonly issuedAt: Date;
}

export interface Consumption {
  /**
   * A random UUID that is made once per request, before the first attempt of `DatabaseService.settle`: it tells the
   * request's own retry from every other presentation.
   */
  readonly attemptId: string;
  /** Undefined for a ticket that belongs to no user. */
  readonly user: TicketHolder | undefined;
}

/** Why a ticket is not accepted; for the log only, because clients are told one code for all. */
export type TicketRefusal = 'unknown' | 'used' | 'expired' | 'exhausted' | 'superseded';

export type TicketVerdict =
  | { readonly kind: 'consumed'; readonly contents: TicketContents }
  /**
   * An earlier attempt of this request has consumed it and has committed, and with it everything else that its
   * transaction did. The caller repeats the answer, and no effect.
   */
  | { readonly kind: 'consumed before'; readonly contents: TicketContents }
  /** The proof was wrong and has been counted. */
  | { readonly kind: 'unproven' }
  | { readonly kind: 'refused'; readonly reason: TicketRefusal };
