import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chown, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ParsedMail, simpleParser } from 'mailparser';
import { eventually } from './eventually.js';
import { freePort } from './free-port.js';

/** The user that Debian's package makes. Exim becomes it, for which it has to be started by root. */
const USER = 'Debian-exim';

const LONGEST_DELIVERY_MS = 15_000;

export const canRunExim = process.getuid?.() === 0 && spawnSync('exim4', ['-bV']).status === 0;

export interface EximOptions {
  /** Whether it offers STARTTLS, and after it AUTH. */
  readonly hasTls?: boolean;
}

/**
 * Debian's Exim on loopback, with a configuration, queue and mailbox of its own. It takes mail after a login over TLS
 * only, from which it writes to a maildir. It refuses `nobody@…` for good, and `later@…` for now.
 */
export class Exim {
  static readonly user = 'ratchet';
  static readonly password = 'only for Exim in tests';

  private output = '';

  private constructor(
    private readonly folder: string,
    private readonly port: number,
    private readonly process: ChildProcess,
  ) {
    process.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.output += text;
    });
  }

  static async start({ hasTls = true }: EximOptions = {}): Promise<Exim> {
    const folder = await mkdtemp(join(tmpdir(), 'ratchet-exim-'));
    const port = await freePort();
    const [uid, gid] = ['-u', '-g'].map((id) => Number(execFileSync('id', [id, USER]))) as [number, number];
    const [key, certificate] = [join(folder, 'key.pem'), certificateIn(folder)];
    const what = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-days', '2', '-subj', '/CN=127.0.0.1'];
    const names = ['-addext', 'subjectAltName=IP:127.0.0.1'];
    execFileSync('openssl', ['req', '-x509', '-nodes', ...what, ...names, '-keyout', key, '-out', certificate], {
      stdio: 'ignore',
    });
    await writeFile(join(folder, 'exim.conf'), configuration(folder, port, hasTls));
    await Promise.all([folder, key].map((path) => chown(path, uid, gid)));
    const child = spawn('exim4', ['-C', join(folder, 'exim.conf'), '-bdf'], {
      stdio: ['ignore', 'ignore', 'pipe'],
      uid,
      gid,
    });
    const exim = new Exim(folder, port, child);
    await eventually(() => exim.accepts(), { withinMs: 10_000 });
    return exim;
  }

  /** With a login, and never without TLS. */
  get url(): string {
    return `smtp://${Exim.user}:${encodeURIComponent(Exim.password)}@127.0.0.1:${this.port}?requireTLS=true`;
  }

  get certificatePath(): string {
    return certificateIn(this.folder);
  }

  /** What it has logged of mails and of connections that failed. */
  log(): Promise<string> {
    return readFile(join(this.folder, 'mainlog'), 'utf8');
  }

  /** Returns the only mail that it has delivered, and waits for it. */
  async onlyMail(): Promise<ParsedMail> {
    const delivered = join(this.folder, 'maildir', 'new');
    const files = (): Promise<string[]> => readdir(delivered).catch(() => []);
    await eventually(async () => (await files()).length > 0, { withinMs: LONGEST_DELIVERY_MS });
    const [name = '', ...others] = await files();
    if (others.length > 0) {
      throw new Error(`${others.length + 1} mails`);
    }
    return simpleParser(await readFile(join(delivered, name)));
  }

  async stop(): Promise<void> {
    if (this.process.exitCode === null) {
      const exit = once(this.process, 'exit');
      this.process.kill('SIGKILL');
      await exit;
    }
    // A process of a connection that is just being closed may still write to its log.
    await rm(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }

  private accepts(): Promise<boolean> {
    if (this.process.exitCode !== null) {
      throw new Error(`Exim has ended: ${this.output}`);
    }
    return new Promise((resolve) => {
      const socket = connect(this.port, '127.0.0.1');
      // With its greeting it has read its configuration.
      socket.once('data', () => {
        socket.destroy();
        resolve(true);
      });
      socket.on('error', () => undefined);
      socket.once('close', () => {
        resolve(false);
      });
    });
  }
}

function certificateIn(folder: string): string {
  return join(folder, 'certificate.pem');
}

function configuration(folder: string, port: number, hasTls: boolean): string {
  return `
keep_environment =
spool_directory = ${folder}/spool
log_file_path = ${folder}/%slog
pid_file_path = ${folder}/exim.pid
primary_hostname = mail.example.com
local_interfaces = 127.0.0.1
daemon_smtp_ports = ${port}
rfc1413_query_timeout = 0s
deliver_drop_privilege = true
tls_certificate = ${certificateIn(folder)}
tls_privatekey = ${folder}/key.pem
tls_advertise_hosts = ${hasTls ? '*' : ''}
auth_advertise_hosts = \${if def:tls_in_cipher {*}{}}
acl_smtp_rcpt = recipient
acl_smtp_data = accept

begin acl
recipient:
  deny ! authenticated = *
  deny local_parts = nobody
       message = the mailbox of $local_part is not here
  defer local_parts = later
  accept

begin routers
every_mail:
  driver = accept
  transport = maildir

begin transports
maildir:
  driver = appendfile
  directory = ${folder}/maildir
  maildir_format
  create_directory
  envelope_to_add
  return_path_add

begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = \${if and {{eq{$auth2}{${Exim.user}}} {eq{$auth3}{${Exim.password}}}}}
  server_set_id = $auth2
`;
}
