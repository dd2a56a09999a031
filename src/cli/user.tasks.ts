import type { User, UserPage } from '../users/users.types.js';
import { CommandFailedError } from './command.errors.js';
import { generatePassword, readNewPassword } from './password-input.js';
import type { Services } from './services.js';
import type { WriteAnswer } from './run-command.js';
import { ask, type Invocation, writeNotice } from './terminal.js';
import { userJson, usersTable } from './users.table.js';

/** One method per command. Each does the work, reports what it did, and closes what it opened. */
export class UserTasks {
  constructor(
    private readonly invocation: Invocation,
    private readonly writeAnswer: WriteAnswer,
  ) {}

  async create(email: string, roles: readonly string[], mustGenerate: boolean): Promise<void> {
    await this.withServices(async (services) => {
      const password = await this.choosePassword(services, mustGenerate);
      const user = await services.users.register({ email, password, roles });
      const generated = mustGenerate ? password : undefined;
      this.writeAnswer({
        text: withGenerated(`Created ${user.email} with id ${user.id} and ${describeRoles(user)}.`, generated),
        json: { ...userJson(user), password: generated },
      });
    });
  }

  async list(page: UserPage): Promise<void> {
    await this.withServices(async ({ users }) => {
      // One more than is shown, to find out whether there are more.
      const found = await users.list({ ...page, limit: page.limit + 1 });
      const shown = found.slice(0, page.limit);
      this.writeAnswer({ text: (width) => usersTable(shown, width), json: shown.map(userJson) });
      const last = shown.at(-1);
      if (last !== undefined && found.length > shown.length) {
        writeNotice(this.invocation, `There are more: --after ${last.email}`);
      }
    });
  }

  async showRoles(name: string): Promise<void> {
    await this.withUser(name, (_, user) => {
      this.writeAnswer({ text: `${user.email} has ${describeRoles(user)}.`, json: userJson(user) });
    });
  }

  async setRoles(name: string, roles: readonly string[]): Promise<void> {
    await this.withUser(name, async ({ users }, before) => {
      const user = await users.setRoles(before.id, roles);
      this.writeAnswer({
        text: `${user.email} has ${describeRoles(user)} now; tokens carry them from the next refresh.`,
        json: userJson(user),
      });
    });
  }

  async setPassword(name: string, mustGenerate: boolean): Promise<void> {
    await this.withUser(name, async (services, user) => {
      const password = await this.choosePassword(services, mustGenerate);
      const endedCount = await services.accounts.setPassword(user.id, password);
      const generated = mustGenerate ? password : undefined;
      this.writeAnswer({
        text: withGenerated(`Set the password of ${user.email}; ${describeEnded(endedCount)}.`, generated),
        json: { ...userJson(user), ended_sessions: endedCount, password: generated },
      });
    });
  }

  async disable(name: string): Promise<void> {
    await this.withUser(name, async ({ accounts }, user) => {
      this.tellEnded(`Disabled ${user.email}`, { ...user, status: 'disabled' }, await accounts.disable(user.id));
    });
  }

  async enable(name: string): Promise<void> {
    await this.withUser(name, async ({ accounts }, user) => {
      await accounts.enable(user.id);
      this.writeAnswer({ text: `Enabled ${user.email}.`, json: userJson({ ...user, status: 'active' }) });
    });
  }

  async endSessions(name: string): Promise<void> {
    await this.withUser(name, async ({ accounts }, user) => {
      this.tellEnded(`Signed ${user.email} out`, user, await accounts.endSessions(user.id));
    });
  }

  async resetFactors(name: string): Promise<void> {
    await this.withUser(name, async ({ accounts }, user) => {
      const { endedCount, removedKinds } = await accounts.resetFactors(user.id);
      const removed = removedKinds.length === 0 ? 'there were none' : removedKinds.join(' and ');
      this.writeAnswer({
        text: `Reset the second factors of ${user.email} (${removed}); ${describeEnded(endedCount)}.`,
        json: { ...userJson(user), removed_factors: removedKinds, ended_sessions: endedCount },
      });
    });
  }

  async delete(name: string, { mustConfirm }: { readonly mustConfirm: boolean }): Promise<void> {
    await this.withUser(name, async ({ accounts }, user) => {
      if (mustConfirm) {
        await this.confirm(`Delete ${user.email} (id ${user.id}) for good? [y/N] `);
      }
      this.tellEnded(`Deleted ${user.email}`, user, await accounts.delete(user.id));
    });
  }

  private async withUser(name: string, work: (services: Services, user: User) => void | Promise<void>): Promise<void> {
    await this.withServices(async (services) => {
      const { users } = services;
      const user = name.includes('@') ? await users.findByEmail(name) : await users.findById(name.toLowerCase());
      if (user === undefined) {
        throw new CommandFailedError(`There is no user ${name}.`);
      }
      await work(services, user);
    });
  }

  /** The service takes most of a second to load, so help and usage errors do not load it. */
  private async withServices(work: (services: Services) => Promise<void>): Promise<void> {
    const { withServices } = await import('./services.js');
    await withServices(this.invocation, work);
  }

  private choosePassword({ config }: Services, mustGenerate: boolean): Promise<string> | string {
    return mustGenerate
      ? generatePassword(config.passwords.minLengthCodePoints)
      : readNewPassword(this.invocation, this.invocation.interrupted);
  }

  /** @param user as the command leaves it, or left it last */
  private tellEnded(what: string, user: User, endedCount: number): void {
    this.writeAnswer({
      text: `${what}; ${describeEnded(endedCount)}.`,
      json: { ...userJson(user), ended_sessions: endedCount },
    });
  }

  private async confirm(question: string): Promise<void> {
    const answer = await ask(question, this.invocation, this.invocation.interrupted);
    if (!/^y(es)?$/i.test(answer.trim())) {
      throw new CommandFailedError('Not confirmed; nothing was done.');
    }
  }
}

function withGenerated(sentence: string, password: string | undefined): string {
  return password === undefined ? sentence : `${sentence}\nPassword, shown only once: ${password}`;
}

function describeRoles({ roles }: User): string {
  if (roles.length === 0) {
    return 'no roles';
  }
  return `the role${roles.length === 1 ? '' : 's'} ${roles.join(', ')}`;
}

function describeEnded(count: number): string {
  return `${count} session${count === 1 ? '' : 's'} ended`;
}
