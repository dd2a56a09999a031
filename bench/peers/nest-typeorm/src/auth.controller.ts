import { Body, Controller, Get, HttpCode, Post, Request, UseGuards } from '@nestjs/common';
import { AuthGuard } from '@nestjs/passport';
import { LoginDto, RefreshDto } from './auth.dto.js';
import { AuthService, type TokenPair } from './auth.service.js';

@Controller('auth')
export class AuthController {
  constructor(private readonly auth: AuthService) {}

  @Post('login')
  @HttpCode(200)
  login(@Body() body: LoginDto): Promise<TokenPair> {
    return this.auth.login(body.email, body.password);
  }

  @Post('refresh')
  @HttpCode(200)
  refresh(@Body() body: RefreshDto): Promise<TokenPair> {
    return this.auth.refresh(body.refresh_token);
  }

  /** Nothing but the guard: no query, and so no notice of a session that has ended. */
  @Get('verify')
  @UseGuards(AuthGuard('jwt'))
  verify(@Request() request: { user: object }): object {
    return request.user;
  }

  @Get('ready')
  ready(): object {
    return {};
  }
}
