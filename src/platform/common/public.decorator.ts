import { type CustomDecorator, SetMetadata } from '@nestjs/common';

export const PUBLIC_ROUTE = 'ratchet:public-route';

/** Opts a route out of the access-token guard, which denies by default. */
export const Public = (): CustomDecorator => SetMetadata(PUBLIC_ROUTE, true);
