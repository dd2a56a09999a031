/** What a browser would keep of the `Set-Cookie` lines of answers, by name. It obeys ages, and knows one host only. */
export class CookieJar {
  private readonly values = new Map<string, string>();

  /** @param lines of one answer, as supertest and Node give them */
  store(lines: string | readonly string[] | undefined): void {
    for (const line of [lines ?? []].flat()) {
      const { name, value, attributes } = parseSetCookie(line);
      if (attributes['Max-Age'] === '0') {
        this.values.delete(name);
      } else {
        this.values.set(name, value);
      }
    }
  }

  get(name: string): string | undefined {
    return this.values.get(name);
  }

  set(name: string, value: string): void {
    this.values.set(name, value);
  }

  /** As the `Cookie` header of a request. */
  get header(): string {
    return [...this.values].map(([name, value]) => `${name}=${value}`).join('; ');
  }
}

/** An attribute without a value is ''. */
export function parseSetCookie(line: string): {
  readonly name: string;
  readonly value: string;
  readonly attributes: Readonly<Record<string, string>>;
} {
  const [[name = '', value = ''] = [], ...attributes] = line.split(';').map((part) => {
    const [key = '', ...rest] = part.trim().split('=');
    return [key, rest.join('=')];
  });
  return { name, value, attributes: Object.fromEntries(attributes) as Record<string, string> };
}
