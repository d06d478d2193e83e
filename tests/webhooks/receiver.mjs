// A receiver made of the official libraries of npm (`standardwebhooks`, `cloudevents`), for the tests in run.py: a line of JSON in, a
// line of JSON out.

import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import { HTTP } from 'cloudevents';
import { Webhook } from 'standardwebhooks';

let secret = process.env.WEBHOOK_SECRET ?? '';
const took = [];
const refused = [];

const server = createServer((request, response) => {
  const pieces = [];
  request.on('data', (piece) => pieces.push(piece));
  request.on('end', () => {
    const body = Buffer.concat(pieces).toString('utf8');
    try {
      new Webhook(secret).verify(body, request.headers);
      // Strict: the library validates the event against the specification.
      const event = HTTP.toEvent({ headers: request.headers, body });
      event.validate();
      took.push({ webhook_id: request.headers['webhook-id'], ...event.toJSON() });
      response.writeHead(204).end();
    } catch (error) {
      refused.push(String(error));
      response.writeHead(401).end();
    }
  });
});
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));

const verify = ({ body, headers, secret }) => {
  try {
    new Webhook(secret).verify(body, headers);
    return { verified: true };
  } catch (error) {
    return { verified: false, why: String(error) };
  }
};

const does = {
  begin: (asked) => {
    secret = asked.secret;
    return { url: `http://127.0.0.1:${server.address().port}/` };
  },
  took: () => ({ took, refused }),
  verify,
};

for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line);
  let answer;
  try {
    answer = await does[asked.does](asked);
  } catch (error) {
    answer = { error: String(error) };
  }
  console.log(JSON.stringify(answer));
}
process.exit(0);
