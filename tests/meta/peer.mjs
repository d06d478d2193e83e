// Libraries of npm that speak with Meta, for the tests in run.py: a line of JSON in, a line of JSON out.

import { createInterface } from 'node:readline';
import { sign } from '@octokit/webhooks-methods';
import * as messenger from '@warriorteam/messenger-sdk';
import { WhatsAppAPI } from 'whatsapp-api-js';
import { Text } from 'whatsapp-api-js/messages';

// What a library would send, instead of sending it.
const captured = async (act) => {
  const asked = [];
  const fetch = async (url, options) => {
    asked.push({ url: String(url), method: options.method, body: JSON.parse(options.body) });
    return new Response('{"messages":[{"id":"wamid.X"}],"message_id":"m_X"}', { headers: { 'content-type': 'application/json' } });
  };
  await act(fetch);
  return asked[0];
};

const whatsapp = (options) => new WhatsAppAPI({ token: 'fake', v: 'v25.0', ...options });

const does = {
  sign: async ({ secret, body }) => ({ signature: await sign(secret, body) }),
  whatsappTakes: async ({ secret, body, signature }) => {
    const api = whatsapp({ appSecret: secret });
    let read = null;
    api.on.message = ({ phoneID, contact, message }) => { read = { phoneID, contact, message }; };
    api.on.status = ({ phoneID, id, status, recipient, biz_opaque_callback_data }) => { read = { phoneID, id, status, recipient, ours: biz_opaque_callback_data }; };
    try {
      await api.post(JSON.parse(body), body, signature ?? undefined);
      return { takes: true, read };
    } catch (error) {
      return { takes: false, status: error.httpStatus ?? String(error) };
    }
  },
  whatsappAnswers: ({ token, query }) => {
    try {
      return { answer: whatsapp({ appSecret: 'x', webhookVerifyToken: token }).get(query) };
    } catch (error) {
      return { answer: null, status: error.httpStatus };
    }
  },
  whatsappSends: ({ line, to, text, context, ours }) => captured((fetch) => (
    whatsapp({ appSecret: 'x', ponyfill: { fetch } }).sendMessage(line, to, new Text(text, false), context, ours)
  )),
  messengerTakes: async ({ secret, body, signature }) => {
    const { isValid } = await messenger.verifyWebhookSignature(Buffer.from(body), signature ?? null, secret);
    return { takes: isValid };
  },
  messengerAnswers: ({ token, query }) => ({ answer: messenger.verifyWebhookSubscription(query, token) }),
  messengerReads: ({ body }) => {
    const payload = JSON.parse(body);
    const messages = messenger.extractWebhookEvents(payload).map((event) => {
      const type = messenger.getWebhookEventType(event);
      const context = type === 'message' ? messenger.extractMessageContext(event)
        : type === 'postback' ? messenger.extractPostbackContext(event)
          : type === 'message_edit' ? messenger.extractMessageEditContext(event) : {};
      return { type, ...context, urls: type === 'message' ? messenger.getAttachmentUrls(event.message) : [] };
    });
    const feed = payload.entry.flatMap((entry) => (entry.changes ?? []).filter(messenger.isFeedEvent)
      .map((change) => messenger.extractFeedContext(entry.id, entry.time, change)));
    return { messages, feed };
  },
  messengerSends: ({ person, text }) => captured(async (fetch) => {
    globalThis.fetch = fetch;
    await new messenger.Messenger({ accessToken: 'fake', version: 'v25.0' }).send.message({
      recipient: { id: person }, messaging_type: 'RESPONSE', message: { text },
    });
  }),
};

for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line);
  let answer;
  try {
    answer = await does[asked.does](asked);
  } catch (error) {
    answer = { error: String(error?.stack ?? error) };
  }
  console.log(JSON.stringify(answer ?? null));
}
