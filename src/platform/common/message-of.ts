/** Returns what the log says of a caught value: the message of an error, any other value as text. */
export function messageOf(value: unknown): string {
  return value instanceof Error ? value.message : String(value);
}
