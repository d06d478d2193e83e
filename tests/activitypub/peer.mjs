// Fedify, an ActivityPub server framework somebody else wrote: makes activities, signs and verifies. One JSON per line in and out.
import { createInterface } from 'node:readline';

// ES2024, which Fedify uses and Node 20 lacks.
ArrayBuffer.prototype.transfer ??= function (length = this.byteLength) {
  const moved = new ArrayBuffer(length);
  new Uint8Array(moved).set(new Uint8Array(this).subarray(0, length));
  return moved;
};

const fedify = await import('@fedify/fedify');
const { Temporal } = await import('@js-temporal/polyfill');
const HERE = 'https://city.example';
const outside = globalThis.fetch;
let server;

// The host of the administration is the server under test; there is no other out here.
globalThis.fetch = (input, init) => {
  const url = new URL(input instanceof Request ? input.url : input);
  if (url.origin !== HERE) throw new TypeError(`nothing but ${HERE} is asked, not ${url}`);
  const target = server + url.pathname + url.search;
  return outside(input instanceof Request ? new Request(target, input) : target, init);
};
const contexts = fedify.fetchDocumentLoader;
const documents = fedify.getDocumentLoader({ allowPrivateAddress: true });

const url = (text) => (text === undefined ? undefined : new URL(text));

async function privateKey(pem) {
  const { createPrivateKey } = await import('node:crypto');
  const der = createPrivateKey(pem).export({ type: 'pkcs8', format: 'der' });
  return crypto.subtle.importKey('pkcs8', der, { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' }, true, ['sign']);
}

const PUBLIC = fedify.PUBLIC_COLLECTION;
const note = ({ actor, id, text, us, direct, answers }) => new fedify.Note({
  id: url(id), attribution: url(actor), content: text, replyTarget: url(answers),
  tos: direct ? [url(us)] : [PUBLIC], ccs: direct ? [] : [url(us)],
  tags: [new fedify.Mention({ href: url(us), name: '@madrid@city.example' })],
  published: Temporal.Now.instant(),
});

const make = {
  follow: (o) => new fedify.Follow({ id: url(o.id), actor: url(o.actor), object: url(o.us) }),
  unfollow: (o) => new fedify.Undo({ id: url(o.id + '/undo'), actor: url(o.actor), object: make.follow(o) }),
  create: (o) => new fedify.Create({ id: url(o.id + '/create'), actor: url(o.actor), object: note(o), tos: note(o).toIds, ccs: note(o).ccIds }),
  update: (o) => new fedify.Update({ id: url(o.id + '/update'), actor: url(o.actor), object: note(o) }),
  delete: (o) => new fedify.Delete({ id: url(o.id + '/delete'), actor: url(o.actor), object: new fedify.Tombstone({ id: url(o.id) }) }),
  like: (o) => new fedify.Like({ id: url(o.id), actor: url(o.actor), object: url(o.answers) }),
};

const work = {
  use: ({ base }) => { server = base; return {}; },
  activity: async (o) => ({ body: JSON.stringify(await make[o.kind](o).toJsonLd({ format: 'compact', contextLoader: contexts })) }),
  sign: async ({ to, body, key, keyId, spec, at }) => {
    const request = new Request(to, { method: 'POST', body, headers: { 'content-type': 'application/activity+json' } });
    const options = { spec, currentTime: at ? Temporal.Instant.from(at) : undefined };
    const signed = await fedify.signRequest(request, await privateKey(key), new URL(keyId), options);
    return { headers: [...signed.headers].filter(([name]) => name !== 'content-length') };
  },
  // What Fedify's own inbox does with a delivery: the signature, the key from the actor's document, whose activity it is.
  receive: async ({ to, headers, body }) => {
    const request = new Request(to, { method: 'POST', body, headers });
    const key = await fedify.verifyRequest(request, { documentLoader: documents, contextLoader: contexts });
    const activity = await fedify.Activity.fromJsonLd(JSON.parse(body), { documentLoader: documents, contextLoader: contexts });
    const object = await activity.getObject({ documentLoader: documents, contextLoader: contexts, suppressError: true });
    return {
      verified: key !== null, owner: key?.ownerId?.href, type: activity.constructor.name, actor: activity.actorId?.href,
      owns: key !== null && await fedify.doesActorOwnKey(activity, key, { documentLoader: documents, contextLoader: contexts }),
      // What is embedded of another host Fedify asks that host for; its id is what counts then.
      object: { type: object?.constructor.name, id: object?.id?.href ?? activity.objectId?.href, content: object?.content?.toString(), answers: object?.replyTargetId?.href,
                to: object?.toIds?.map(String), actor: object?.actorId?.href },
    };
  },
  lookup: async ({ resource }) => {
    const found = await fedify.lookupWebFinger(resource, { allowPrivateAddress: true });
    const self = found?.links?.find((link) => link.rel === 'self')?.href;
    if (!self) return {};
    const { document } = await documents(self);
    const actor = await fedify.Object.fromJsonLd(document, { documentLoader: documents, contextLoader: contexts });
    const key = await actor.getPublicKey({ documentLoader: documents, contextLoader: contexts });
    return { self, type: actor.constructor.name, name: actor.preferredUsername?.toString(), inbox: actor.inboxId?.href, key: key?.id?.href };
  },
  nodeinfo: async () => ({ info: await fedify.getNodeInfo(HERE, { parse: 'strict' }) ?? null }),
};

for await (const line of createInterface({ input: process.stdin })) {
  const { does, ...about } = JSON.parse(line);
  let answer;
  try {
    answer = await work[does](about);
  } catch (error) {
    answer = { error: String(error?.stack ?? error) };
  }
  console.log(JSON.stringify(answer, (_, value) => (typeof value === 'bigint' ? String(value) : value)));
}
