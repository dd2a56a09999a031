export interface Scan {
  readonly findings: readonly string[];
  readonly summary: string;
}

/** One line per kind of secret that stands in the text. */
export function findSecrets(text: string, where: string): string[];

export function scanForSecrets(run: {
  readonly runDir: string;
  readonly serverUrl: string;
  readonly prefix: string;
  readonly isEmbedded: boolean;
}): Promise<Scan>;
