// npm `@octokit/webhooks-methods` signs, for the tests in run.py: a line of JSON in, a line of JSON out.

import { createInterface } from 'node:readline';
import { sign } from '@octokit/webhooks-methods';

for await (const line of createInterface({ input: process.stdin })) {
  const { secret, text } = JSON.parse(line);
  console.log(JSON.stringify({ signature: await sign(secret, text) }));
}
