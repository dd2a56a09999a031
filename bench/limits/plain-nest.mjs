// Nest on Fastify with nothing but an empty route: what the service's own HTTP edge costs is the difference to
// empty-route.mjs.
import 'reflect-metadata';
import { Controller, Get, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';

class EmptyController {
  empty() {}
}
const method = Object.getOwnPropertyDescriptor(EmptyController.prototype, 'empty');
Get('empty')(EmptyController.prototype, 'empty', method);
Controller()(EmptyController);

class EmptyModule {}
Module({ controllers: [EmptyController] })(EmptyModule);

const app = await NestFactory.create(EmptyModule, new FastifyAdapter(), { logger: ['error'] });
app.enableShutdownHooks();
await app.listen(Number(process.env.PORT), '127.0.0.1');
