/** mulberry32: the same numbers for the same seed, which is all that is asked of it. */
export class Random {
  constructor(seed) {
    this.state = seed >>> 0;
  }

  /** @returns at least 0, below 1 */
  next() {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let mixed = this.state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** @returns an integer, both bounds included */
  between(least, most) {
    return least + Math.floor(this.next() * (most - least + 1));
  }

  pick(choices) {
    return choices[this.between(0, choices.length - 1)];
  }

  happens(probability) {
    return this.next() < probability;
  }
}
