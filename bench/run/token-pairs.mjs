import { HttpConnection } from '../load/http-connection.mjs';

const CONNECTIONS = 32;

/**
 * Exchanges refresh tokens by JSON. @returns {Promise<{accessToken: string, refreshToken: string}[]>} in their order
 */
export async function mintPairs(port, path, refreshTokens) {
  const pairs = new Array(refreshTokens.length);
  let next = 0;
  const work = async () => {
    const connection = new HttpConnection(port);
    while (next < refreshTokens.length) {
      const index = next;
      next += 1;
      const body = JSON.stringify({ refresh_token: refreshTokens[index] });
      const answer = await connection.request(
        Buffer.from(
          `POST ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n` +
            `content-length: ${body.length}\r\n\r\n${body}`,
        ),
      );
      if (answer.status !== 200) {
        throw new Error(`${path} answered ${answer.status}: ${answer.body.toString('utf8')}`);
      }
      const pair = JSON.parse(answer.body.toString('utf8'));
      pairs[index] = { accessToken: pair.access_token, refreshToken: pair.refresh_token };
    }
    connection.close();
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, work));
  return pairs;
}
