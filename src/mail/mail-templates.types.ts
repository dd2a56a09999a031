/** Every mail, and the values that it has besides the address that it goes to. */
export const MAIL_VALUES = {
  registration: ['code', 'link', 'minutes'],
  address_taken: [],
  password_reset: ['link', 'minutes'],
  password_changed: ['at'],
  email_change: ['code', 'link', 'minutes'],
  email_change_notice: ['newEmail', 'link', 'minutes'],
  email_changed: ['oldEmail', 'newEmail'],
  email_change_undone: ['link', 'minutes'],
  sign_in_code: ['code', 'link', 'minutes'],
  email_verification: ['code', 'link', 'minutes'],
  new_sign_in: ['at', 'client', 'network'],
  factor_added: ['factor', 'at'],
  factor_removed: ['factor', 'at'],
  recovery_code_used: ['left', 'at'],
  recovery_codes_renewed: ['at'],
  second_factor_failures: ['at'],
  factors_reset: ['at'],
} as const satisfies Readonly<Record<string, readonly MailValueName[]>>;

export type MailTemplate = keyof typeof MAIL_VALUES;

export type MailValueName =
  'email' | 'code' | 'link' | 'minutes' | 'at' | 'newEmail' | 'oldEmail' | 'client' | 'network' | 'factor' | 'left';

/**
 * `email` is the recipient, which every mail needs; `minutes` says how long code and link are good, and `at` is an
 * instant of ISO 8601. `factor` is `totp` or `passkey`, and `left` the number of recovery codes that still work.
 */
export type MailValues = { readonly email: string } & Readonly<Partial<Record<MailValueName, string | number>>>;

/** `subject` is one line without control characters. Either body is complete without the other. */
export interface RenderedMail {
  readonly subject: string;
  readonly text: string;
  readonly html: string;
}

export interface MailTemplateSettings {
  /** What the mails call the service: the name that they come from. */
  readonly productName: string;
  /** Host of the pages that the links lead to. */
  readonly accountHost: string;
  /** Language of mails to users whose own is unknown or has no templates. */
  readonly locale: string;
  /** The operator's folder, whose files replace built-in ones of the same name. */
  readonly templatesDir: string | undefined;
}
