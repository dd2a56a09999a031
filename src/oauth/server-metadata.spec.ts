import { describe, expect, it } from 'vitest';
import { issuerPath, serverMetadata } from './server-metadata.js';

describe('the metadata', () => {
  it.each([
    ['https://auth.example.com', 'https://auth.example.com/oauth/token', ''],
    ['https://auth.example.com/', 'https://auth.example.com/oauth/token', ''],
    ['https://example.com/auth', 'https://example.com/auth/oauth/token', 'auth'],
    ['https://example.com/a/b/', 'https://example.com/a/b/oauth/token', 'a/b'],
    ['http://localhost:3000', 'http://localhost:3000/oauth/token', ''],
  ])('names the issuer %s as it is, and builds on it', (issuer, tokenEndpoint, path) => {
    expect(serverMetadata(issuer)).toMatchObject({ issuer, token_endpoint: tokenEndpoint });
    expect(issuerPath(issuer)).toBe(path);
  });
});
