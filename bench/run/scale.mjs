/** How long and how large; the quick scale shows that everything works, and its numbers are rough. */
export const SCALES = {
  full: {
    without: [],
    repetitions: 3,
    connections: 32,
    warmUpSeconds: 1.5,
    closedSeconds: 3,
    openSeconds: 4,
    limitSeconds: 3,
    /** Rows in every peer's tables, and tokens in use. */
    rows: 10_000,
    storm: { clients: 300, calmSeconds: 2, ignoreSeconds: 2, seconds: 8 },
    growth: { sizes: [10_000, 1_000_000], sampleSize: 50_000, seconds: 4, cleanUpSeconds: 8 },
  },
  quick: {
    /** Variants of peers, for the sake of time. */
    without: ['better-auth-cookie-cache', 'nest-express'],
    repetitions: 1,
    connections: 32,
    warmUpSeconds: 0.5,
    closedSeconds: 1,
    openSeconds: 1,
    limitSeconds: 1,
    rows: 1_000,
    storm: { clients: 300, calmSeconds: 1, ignoreSeconds: 2, seconds: 3 },
    growth: { sizes: [10_000, 50_000], sampleSize: 5_000, seconds: 1, cleanUpSeconds: 2 },
  },
};

/** Connections to PostgreSQL of everything that is measured. */
export const POOL_SIZE = 10;

/** Latencies are measured at this share of the highest rate of the closed loop. */
export const KNEE_SHARE = 0.5;
