/** The client's half of what was mailed: good for nothing without the code of the mail. */
export interface MailTicket {
  readonly token: string;
  readonly expiresInSeconds: number;
}
