import { createServer } from 'node:http';
import { pool } from './postgres-adapter.mjs';
import { provider } from './provider.mjs';

const server = createServer({ keepAliveTimeout: 65_000 }, provider.callback());
server.listen(Number(process.env.PORT), '127.0.0.1');
process.once('SIGTERM', () => {
  server.close(() => pool.end());
  server.closeAllConnections();
});
