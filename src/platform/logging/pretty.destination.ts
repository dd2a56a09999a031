import pretty, { type PrettyOptions } from 'pino-pretty';

const STDOUT_FD = 1;
/** Fields that are part of the message already or do not matter on a terminal. */
const HIDDEN_FIELDS = 'context,request_id,method,path,status,duration_ms,ip,user_id,session_id';

/**
 * Writes each event for people: time, level and sentence on one line, followed by a stack if there is one. Honours
 * NO_COLOR.
 */
export function prettyDestination(options: Pick<PrettyOptions, 'colorize' | 'destination'> = {}): pretty.PrettyStream {
  return pretty({
    destination: STDOUT_FD,
    sync: true,
    singleLine: true,
    translateTime: 'SYS:HH:MM:ss',
    ignore: HIDDEN_FIELDS,
    messageFormat: messageOf,
    ...options,
  });
}

function messageOf(log: Record<string, unknown>, messageKey: string): string {
  const message = text(log[messageKey]);
  if (typeof log['path'] === 'string') {
    const outcome = log['status'] === undefined ? message : `${text(log['status'])} ${text(log['duration_ms'])} ms`;
    return `${text(log['method'])} ${log['path']} ${outcome}`;
  }
  return typeof log['context'] === 'string' ? `[${log['context']}] ${message}` : message;
}

function text(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : '';
}
