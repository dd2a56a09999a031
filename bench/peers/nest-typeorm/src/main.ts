import 'reflect-metadata';
import { type INestApplication, ValidationPipe } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { AppModule } from './app.module.js';

/** PLATFORM: `express`, which is what Nest takes unless told otherwise, or `fastify`, which is what Ratchet takes. */
const options = { logger: ['error' as const] };
const app: INestApplication =
  process.env['PLATFORM'] === 'fastify'
    ? await NestFactory.create(AppModule, new FastifyAdapter({ keepAliveTimeout: 65_000 }), options)
    : await NestFactory.create(AppModule, options);
app.useGlobalPipes(new ValidationPipe({ whitelist: true }));
app.enableShutdownHooks();
await app.listen(Number(process.env['PORT']), '127.0.0.1');
