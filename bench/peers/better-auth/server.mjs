import { createServer } from 'node:http';
import { toNodeHandler } from 'better-auth/node';
import { createAuth } from './auth.mjs';

const { auth, pool } = createAuth();
const server = createServer({ keepAliveTimeout: 65_000 }, toNodeHandler(auth));
server.listen(Number(process.env.PORT), '127.0.0.1');
process.once('SIGTERM', () => {
  server.close(() => pool.end());
  server.closeAllConnections();
});
