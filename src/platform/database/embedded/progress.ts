export type ReportProgress = (line: string) => void;

const slowAfterMs = 1_000;

/** Reports `line` when `work` is not done after a second, so that a quick start says nothing. */
export async function reportWhenSlow<T>(report: ReportProgress, line: string, work: Promise<T>): Promise<T> {
  const timer = setTimeout(report, slowAfterMs, line);
  try {
    return await work;
  } finally {
    clearTimeout(timer);
  }
}
