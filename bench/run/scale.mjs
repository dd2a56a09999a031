/** How long and how large; the quick scale shows that everything works, and its numbers are rough. */
export const SCALES = {
  full: {
    without: [],
    repetitions: 3,
    connections: 32,
    /** V8 compiles the code of logins late, because they are rare; a shorter run would measure the interpreter. */
    warmUpSeconds: 4,
    closedSeconds: 3,
    openSeconds: 4,
    limitSeconds: 3,
    /** Rows in every peer's tables, and tokens in use. */
    rows: 10_000,
    storm: { clients: 300, calmSeconds: 2, ignoreSeconds: 2, seconds: 8 },
    hostile: { ignoreSeconds: 2, seconds: 10 },
    growth: { sizes: [10_000, 1_000_000], sampleSize: 50_000, seconds: 4, cleanUpSeconds: 8 },
  },
  quick: {
    /** Variants, for the sake of time. */
    without: [
      'better-auth-cookie-cache',
      'nest-express',
      'limit-plain-nest',
      'limit-rotation-set-32',
      'limit-rotation-set-64',
    ],
    repetitions: 1,
    connections: 32,
    warmUpSeconds: 0.4,
    closedSeconds: 0.8,
    openSeconds: 0.4,
    limitSeconds: 0.6,
    rows: 1_000,
    storm: { clients: 300, calmSeconds: 0.5, ignoreSeconds: 2, seconds: 1.5 },
    hostile: { ignoreSeconds: 0.5, seconds: 2 },
    growth: { sizes: [2_000, 20_000], sampleSize: 1_000, seconds: 0.6, cleanUpSeconds: 1 },
  },
};

/** Connections to PostgreSQL of everything that is measured. */
export const POOL_SIZE = 10;

/** Latencies are measured at this share of the highest rate of the closed loop. */
export const KNEE_SHARE = 0.5;
