import { connect } from 'node:net';

/**
 * Sends bytes on a connection of their own, whatever they are, and returns what comes back until the server closes it.
 * Nothing, if the server cuts the connection.
 */
export function exchange(url: string, bytes: string): Promise<string> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve) => {
    let answer = '';
    const socket = connect(Number(port), hostname, () => socket.write(bytes));
    socket.setEncoding('utf8');
    socket.on('data', (chunk: string) => {
      answer += chunk;
    });
    // A 'close' follows every error.
    socket.on('error', () => undefined);
    socket.on('close', () => {
      resolve(answer);
    });
  });
}
