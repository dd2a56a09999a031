/** Turns mail on. */
export const MAIL_ON = { MAIL_URL: 'file' } as const;
