import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { newEmail, newPassword } from './support/test-client.js';
import { createTestDatabase, type TestDatabase } from './support/test-database.js';
import { startService, type TestService } from './support/test-service.js';

describe('signing up and in', () => {
  let database: TestDatabase;
  let service: TestService;

  beforeAll(async () => {
    database = await createTestDatabase();
    service = await startService(database);
  });

  afterAll(async () => {
    await service.stop();
    await database.close();
  });

  it('answers a registration with the account and nothing else', async () => {
    const email = newEmail();
    const response = await service.client.register({ email, password: newPassword() });
    expect(response.status).toBe(201);
    expect(response.body).toEqual({
      id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      email,
      roles: [],
      created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
    });
  });
});
