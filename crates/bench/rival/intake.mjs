// The Node rival: what a careful Node program does with the provider's official SDK and the usual SQLite package. It verifies,
// records envelope, contact, case and event durably, and answers with the call's menu. It commits the calls that wait together
// with one sync, as our host does.
import { createServer } from "node:http";
import { randomInt, randomUUID } from "node:crypto";
import { join } from "node:path";
import Database from "better-sqlite3";
import twilio from "twilio";

const [folder, token, publicUrl] = process.argv.slice(2);
const database = new Database(join(folder, "node.sqlite"));
database.pragma("journal_mode = WAL");
database.pragma("synchronous = FULL");
database.exec(`
  CREATE TABLE envelopes (id TEXT PRIMARY KEY, received_at INTEGER, target TEXT, headers TEXT, body TEXT);
  CREATE TABLE contacts (id TEXT PRIMARY KEY, scheme TEXT, handle TEXT, UNIQUE (scheme, handle));
  CREATE TABLE cases (id INTEGER PRIMARY KEY, reference TEXT UNIQUE, contact TEXT, status TEXT, opened_at INTEGER);
  CREATE TABLE threads (thread TEXT PRIMARY KEY, case_id INTEGER);
  CREATE TABLE events (seq INTEGER PRIMARY KEY, id TEXT, key TEXT UNIQUE, kind TEXT, envelope TEXT, case_id INTEGER,
    contact TEXT, received_at INTEGER, json TEXT);
  CREATE INDEX events_by_case ON events (case_id);`);
const insert = {
  envelope: database.prepare("INSERT INTO envelopes VALUES (?, ?, ?, ?, ?)"),
  contact: database.prepare("INSERT INTO contacts VALUES (?, 'phone', ?) ON CONFLICT DO NOTHING"),
  case: database.prepare("INSERT INTO cases (reference, contact, status, opened_at) VALUES (?, ?, 'new', ?) ON CONFLICT DO NOTHING"),
  thread: database.prepare("INSERT INTO threads VALUES (?, ?)"),
  event: database.prepare(
    "INSERT INTO events (id, key, kind, envelope, case_id, contact, received_at, json) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"),
};
const find = {
  event: database.prepare("SELECT c.reference FROM events e JOIN cases c ON c.id = e.case_id WHERE e.key = ?"),
  contact: database.prepare("SELECT id FROM contacts WHERE scheme = 'phone' AND handle = ?"),
  thread: database.prepare("SELECT c.id, c.reference FROM threads t JOIN cases c ON c.id = t.case_id WHERE t.thread = ?"),
};

function record(call) {
  const now = Date.now();
  const { CallSid, CallStatus, From } = call.parameters;
  const key = `${CallSid}:${CallStatus}`;
  const known = find.event.get(key);
  const envelope = randomUUID();
  insert.envelope.run(envelope, now, call.target, JSON.stringify(call.headers), call.body);
  if (known) return known.reference;
  insert.contact.run(randomUUID(), From);
  const contact = find.contact.get(From).id;
  let found = find.thread.get(CallSid);
  if (!found) {
    let reference, opened;
    do {
      reference = String(randomInt(1e9)).padStart(9, "0");
      opened = insert.case.run(reference, contact, now);
    } while (opened.changes === 0);
    const id = opened.lastInsertRowid;
    insert.thread.run(CallSid, id);
    found = { id, reference };
  }
  const json = JSON.stringify({ kind: "call.started", sender: From, call_id: CallSid, status: CallStatus });
  insert.event.run(randomUUID(), key, "call.started", envelope, found.id, contact, now, json);
  return found.reference;
}

let waiting = [];
const recordAll = database.transaction((calls) => calls.map(record));
function commit() {
  const calls = waiting;
  waiting = [];
  const references = recordAll(calls);
  calls.forEach((call, index) => call.done(references[index]));
}

createServer((request, response) => {
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => {
    const body = Buffer.concat(chunks).toString();
    const parameters = Object.fromEntries(new URLSearchParams(body));
    const suffix = request.url.replace(/^\/telephony\/[^/]+\/[^/]+/, "");
    if (!twilio.validateRequest(token, request.headers["x-twilio-signature"] ?? "", publicUrl + suffix, parameters)) {
      response.writeHead(403).end();
      return;
    }
    const done = (reference) => {
      const answer = new twilio.twiml.VoiceResponse();
      const gather = answer.gather({ input: "dtmf speech", numDigits: 1, action: `${publicUrl}/voice` });
      gather.say({ language: "es-ES" }, `Ayuntamiento. Su número es ${[...reference].join(" ")}. Pulse uno para obras, dos para agua.`);
      response.writeHead(200, { "content-type": "text/xml" }).end(answer.toString());
    };
    if (waiting.push({ target: suffix, headers: request.headers, body, parameters, done }) === 1) setImmediate(commit);
  });
}).listen(0, "127.0.0.1", function () {
  console.log(JSON.stringify({ ready: true, url: `http://127.0.0.1:${this.address().port}` }));
});
