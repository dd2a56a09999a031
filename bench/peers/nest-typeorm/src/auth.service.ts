import { createHash, randomBytes } from 'node:crypto';
import { Injectable, UnauthorizedException } from '@nestjs/common';
import { JwtService } from '@nestjs/jwt';
import { InjectRepository } from '@nestjs/typeorm';
import { verify } from '@node-rs/argon2';
import { DataSource, IsNull, Repository } from 'typeorm';
import { RefreshToken } from './refresh-token.entity.js';
import { User } from './user.entity.js';

const REFRESH_TOKEN_TTL_MS = 14 * 86_400_000;

export interface TokenPair {
  readonly access_token: string;
  readonly refresh_token: string;
}

@Injectable()
export class AuthService {
  constructor(
    private readonly jwt: JwtService,
    private readonly dataSource: DataSource,
    @InjectRepository(User) private readonly users: Repository<User>,
    @InjectRepository(RefreshToken) private readonly tokens: Repository<RefreshToken>,
  ) {}

  async login(email: string, password: string): Promise<TokenPair> {
    const user = await this.users.findOneBy({ email });
    if (user === null || !(await verify(user.passwordHash, password))) {
      throw new UnauthorizedException();
    }
    return this.pairFor(user, this.tokens);
  }

  /** Exchanges a token for the next one; one that was exchanged before ends all sessions of the user. */
  async refresh(refreshToken: string): Promise<TokenPair> {
    const pair = await this.dataSource.transaction(async (manager) => {
      const tokens = manager.getRepository(RefreshToken);
      const found = await tokens.findOne({
        where: { tokenHash: hashOf(refreshToken) },
        relations: { user: true },
      });
      if (found === null || found.expiresAt < new Date()) {
        return undefined;
      }
      if (found.revokedAt !== null) {
        await tokens.update({ userId: found.userId, revokedAt: IsNull() }, { revokedAt: new Date() });
        return undefined;
      }
      found.revokedAt = new Date();
      await tokens.save(found);
      return this.pairFor(found.user, tokens);
    });
    if (pair === undefined) {
      throw new UnauthorizedException();
    }
    return pair;
  }

  private async pairFor(user: User, tokens: Repository<RefreshToken>): Promise<TokenPair> {
    const refreshToken = randomBytes(32).toString('base64url');
    await tokens.save(
      tokens.create({
        userId: user.id,
        tokenHash: hashOf(refreshToken),
        expiresAt: new Date(Date.now() + REFRESH_TOKEN_TTL_MS),
      }),
    );
    const payload = { sub: user.id, email: user.email, roles: user.roles };
    return { access_token: await this.jwt.signAsync(payload), refresh_token: refreshToken };
  }
}

function hashOf(token: string): string {
  return createHash('sha256').update(token).digest('hex');
}
