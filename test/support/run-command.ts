import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { eventually } from './eventually.js';

/** Generous: how fast a command is shows elsewhere, and machines that test are busy. */
const DEADLINE_MS = 40_000;

export interface CommandOptions {
  /** All that is set besides PATH and HOME. */
  readonly environment?: Readonly<Record<string, string>>;
  readonly workingDirectory: string;
  /** The whole of standard input; nothing by default. */
  readonly input?: string;
  /** Standard input stays open and silent instead. */
  readonly keepsInputOpen?: boolean;
  /** How long it may take to say or to end, where that is a whole suite or an installation. */
  readonly withinMs?: number;
}

export interface CommandResult {
  /** Absent when a signal ended it. */
  readonly exitCode: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

/** A program in a process group of its own and a clean environment, as a terminal would start it. */
export class RunningCommand {
  stdout = '';
  stderr = '';
  private readonly child: ChildProcessWithoutNullStreams;
  private hasEnded = false;
  private readonly withinMs: number;

  constructor(program: string, args: readonly string[], options: CommandOptions) {
    const { PATH = '', HOME = '' } = process.env;
    this.withinMs = options.withinMs ?? DEADLINE_MS;
    this.child = spawn(program, args, {
      cwd: options.workingDirectory,
      env: { PATH, HOME, ...options.environment },
      detached: true,
    });
    this.child.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.stdout += text;
    });
    this.child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text;
    });
    // A program that does not read its input closes it.
    this.child.stdin.on('error', () => undefined);
    if (options.keepsInputOpen !== true) {
      this.child.stdin.end(options.input ?? '');
    }
    this.child.once('error', (error) => {
      this.stderr += error.message;
      this.hasEnded = true;
    });
    // Not 'exit': what was said last may still be on its way then.
    this.child.once('close', () => {
      this.hasEnded = true;
    });
  }

  get pid(): number {
    return this.child.pid ?? fail('it has not started');
  }

  /**
   * Waits until standard output or standard error matches.
   *
   * @throws when the program does not say it in time, or ends before
   */
  async said(pattern: RegExp): Promise<RegExpExecArray> {
    const find = (): RegExpExecArray | null => pattern.exec(this.stdout) ?? pattern.exec(this.stderr);
    await eventually(() => this.hasEnded || find() !== null, { withinMs: this.withinMs });
    return find() ?? fail(`it did not say ${String(pattern)} but:\n${this.stdout}\n${this.stderr}`);
  }

  /** @throws when the program does not end in time; it and its children are killed then */
  async end(): Promise<CommandResult> {
    try {
      await eventually(() => this.hasEnded, { withinMs: this.withinMs });
    } catch {
      this.signalGroup('SIGKILL');
      return fail(`it did not end but said:\n${this.stdout}\n${this.stderr}`);
    }
    return { exitCode: this.child.exitCode ?? undefined, stdout: this.stdout, stderr: this.stderr };
  }

  /** Signals the program alone. */
  signal(name: NodeJS.Signals): void {
    this.child.kill(name);
  }

  /** Signals the program and all its children, as a terminal does at Ctrl-C. */
  signalGroup(name: NodeJS.Signals): void {
    try {
      process.kill(-this.pid, name);
    } catch {
      // The whole group has ended.
    }
  }
}

/**
 * Runs a program to its end.
 *
 * @throws when it has not ended in time
 */
export async function runCommand(
  program: string,
  args: readonly string[],
  options: CommandOptions,
): Promise<CommandResult> {
  return new RunningCommand(program, args, options).end();
}

function fail(reason: string): never {
  throw new Error(reason);
}
