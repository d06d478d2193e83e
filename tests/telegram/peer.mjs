// A Bot API server somebody else wrote (npm `telegram-test-api`), for the tests in run.py: a line of JSON in, a line of JSON out.

import { createServer } from 'node:net';
import { createInterface } from 'node:readline';
import TelegramServer from 'telegram-test-api';

const free = () => new Promise((resolve) => {
  const socket = createServer().listen(0, '127.0.0.1', () => {
    const { port } = socket.address();
    socket.close(() => resolve(port));
  });
});

const server = new TelegramServer({ host: '127.0.0.1', port: await free() });
await server.start();

const does = {
  url: () => ({ url: server.config.apiURL }),
  // What a person types: the update as this server would deliver it.
  write: async ({ token, text, person }) => {
    const client = server.getClient(token, { userId: person, chatId: person, firstName: 'Ana' });
    await client.sendMessage(client.makeMessage(text));
    return server.getUpdates(token);
  },
  // What the person sees of the bot.
  read: async ({ token, person }) => (await server.getClient(token, { userId: person, chatId: person }).getUpdates()).result,
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
