import { Controller, Delete, Get, Module, Param } from '@nestjs/common';
import type { AccessToken } from '@ratchet/verifier';
import { AnyRole, CurrentAccessToken, RatchetModule } from '@ratchet/verifier/nestjs';

@Controller('orders')
export class OrdersController {
  @Get()
  list(@CurrentAccessToken() { userId }: AccessToken) {
    return { ordersOf: userId };
  }

  @Delete(':id')
  @AnyRole('admin')
  remove(@Param('id') id: string) {
    return { removed: id };
  }
}

/** Whose tokens count is in the environment: the service's in production, a namespace's of the test kit in tests. */
function readOptions() {
  const { JWT_ISSUER: issuer = '', JWT_AUDIENCE: audience = '' } = process.env;
  return { issuer, audience, revocations: 'follow', whenFeedIsStale: 'reject' } as const;
}

@Module({ imports: [RatchetModule.forRootAsync({ useFactory: readOptions })], controllers: [OrdersController] })
export class AppModule {}
