/**
 * The advisory locks that instances take on one database. Each keeps a job to one instance at a time; the numbers only
 * have to differ from each other, and from those of other programs in this database.
 */
export const LOCKS = {
  migrations: 7_246_824_001,
  tombstones: 7_246_824_002,
  signingKeys: 7_246_824_003,
} as const;

export type Lock = (typeof LOCKS)[keyof typeof LOCKS];
