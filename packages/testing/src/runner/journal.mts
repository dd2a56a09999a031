import type { RequestRecord, RequestsAnswer } from '../contract.js';

const MOST_ENTRIES = 1_000;

/** Whether a path is the one that is written, or begins as one that ends in `*` says. */
export function matchesPath(pattern: string, path: string): boolean {
  return pattern.endsWith('*') ? path.startsWith(pattern.slice(0, -1)) : path === pattern;
}

/** Remembers the last 1,000 answered requests of a namespace: no header and no body. */
export class Journal {
  private entries: RequestRecord[] = [];
  /** How many entries there have been before the first one. */
  private forgotten = 0;

  add(entry: RequestRecord): void {
    this.entries.push(entry);
    if (this.entries.length > MOST_ENTRIES) {
      this.entries.shift();
      this.forgotten += 1;
    }
  }

  /** @param after the cursor of an earlier answer */
  list(path: string | undefined, after = 0): RequestsAnswer {
    const fresh = this.entries.slice(Math.max(0, after - this.forgotten));
    return {
      requests: path === undefined ? fresh : fresh.filter((entry) => matchesPath(path, entry.path)),
      cursor: this.forgotten + this.entries.length,
    };
  }

  clear(): void {
    this.forgotten += this.entries.length;
    this.entries = [];
  }
}
