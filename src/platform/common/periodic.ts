/** Runs a job at an interval, one run at a time, and waits for the run in progress when it stops. */
export class Periodic {
  private timer: NodeJS.Timeout | undefined;
  private running: Promise<void> | undefined;

  /** @param job handles its own failures: it must not reject */
  constructor(
    private readonly intervalMs: number,
    private readonly job: () => Promise<void>,
  ) {}

  /** The first run begins one interval from now. The timer alone does not keep the process alive. */
  start(): void {
    this.timer = setInterval(() => {
      this.running ??= this.job().finally(() => {
        this.running = undefined;
      });
    }, this.intervalMs).unref();
  }

  async stop(): Promise<void> {
    clearInterval(this.timer);
    await this.running;
  }
}
