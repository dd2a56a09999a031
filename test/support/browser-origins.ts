/** The pages of the application that signs users in. */
export const APP_ORIGIN = 'https://app.example.test';

/** The host of the service: the same site, and another origin. */
export const AUTH_ORIGIN = 'https://auth.example.test';

/** A foreign page of the same site. */
export const EVIL_ORIGIN = 'https://evil.example.test';

/** A page of another site. */
export const OTHER_ORIGIN = 'https://other.test';
