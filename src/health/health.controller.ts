import { Controller, Get } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiProperty, ApiTags } from '@nestjs/swagger';
import { Public } from '../platform/common/public.decorator.js';
import { ApiProblems } from '../platform/http/problems/api-problems.js';
import { HealthService } from './health.service.js';

class HealthDto {
  @ApiProperty({ enum: ['ok'], example: 'ok' })
  readonly status!: 'ok';
}

@ApiTags('health')
@Public()
@Controller('health')
export class HealthController {
  constructor(private readonly health: HealthService) {}

  @Get('live')
  @ApiOperation({ summary: 'Whether the process answers', description: 'Checks no dependency.' })
  @ApiOkResponse({ type: HealthDto, description: 'The process answers.' })
  getLive(): HealthDto {
    return { status: 'ok' };
  }

  @Get('started')
  @ApiOperation({
    summary: 'Whether the instance has started and is not shutting down',
    description: 'Stays 200 while the database is unavailable; for probes that take instances out of service.',
  })
  @ApiOkResponse({ type: HealthDto, description: 'The instance takes requests.' })
  @ApiProblems('temporarily_unavailable')
  getStarted(): HealthDto {
    this.health.requireStarted();
    return { status: 'ok' };
  }

  @Get('ready')
  @ApiOperation({
    summary: 'Whether the instance can serve',
    description:
      'The database can be written, its schema is current, the keys are loaded, the revocation feed is current and the clocks agree.',
  })
  @ApiOkResponse({ type: HealthDto, description: 'The instance can serve.' })
  @ApiProblems('temporarily_unavailable')
  async getReady(): Promise<HealthDto> {
    await this.health.requireReady();
    return { status: 'ok' };
  }
}
