/** Every latency of a run, in milliseconds; nothing is sampled and nothing is put into buckets. */
export class Latencies {
  #values = [];

  add(ms) {
    this.#values.push(ms);
  }

  get count() {
    return this.#values.length;
  }

  /** @returns {{p50: number, p90: number, p99: number, p999: number, max: number} | undefined} milliseconds */
  summary() {
    if (this.#values.length === 0) {
      return undefined;
    }
    const sorted = Float64Array.from(this.#values).sort();
    const at = (share) => sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)];
    return { p50: at(0.5), p90: at(0.9), p99: at(0.99), p999: at(0.999), max: sorted[sorted.length - 1] };
  }
}
