import { Injectable } from '@nestjs/common';
import { PassportStrategy } from '@nestjs/passport';
import { ExtractJwt, Strategy } from 'passport-jwt';

export interface Claims {
  readonly sub: string;
  readonly email: string;
  readonly roles: readonly string[];
}

@Injectable()
export class JwtStrategy extends PassportStrategy(Strategy) {
  constructor() {
    super({
      jwtFromRequest: ExtractJwt.fromAuthHeaderAsBearerToken(),
      secretOrKey: process.env['JWT_SECRET'] ?? '',
    });
  }

  validate(claims: Claims): { id: string; email: string; roles: readonly string[] } {
    return { id: claims.sub, email: claims.email, roles: claims.roles };
  }
}
