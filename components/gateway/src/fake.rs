//! A world for tests: a connector that signs with HMAC over the body, a store in memory, and a trace of who was called when.

use core::future::Future;
use core::pin::pin;
use core::task::{Context as TaskContext, Poll, Waker};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};

use channel_sdk::types::*;

use crate::bindings::log::{Disposition, Envelope, StoreError};
use crate::bindings::outbox::{Item, Queue, Settlement};
use crate::pipeline;
use crate::ports::{BodyError, Failure, Inbound, Outbound, Ports};
use crate::request::Head;
use service_sdk::spool::Contents;

pub(crate) const URL: &str = "https://desk.example/telephony/acme/madrid";
pub(crate) const SECRET: &str = "s3cr3t";

pub(crate) fn descriptor() -> Descriptor {
    let setting = |name: &str, secret, required| SettingSpec {
        name: name.into(),
        secret,
        required,
        description: format!("the {name}"),
    };
    Descriptor {
        channel: "telephony".into(),
        vendor: "acme".into(),
        title: "Acme".into(),
        stability: Stability::Development,
        settings: vec![
            setting("auth_token", true, true),
            setting("region", false, false),
            setting("port", false, false),
        ],
        routes: vec![
            RouteSpec { methods: vec!["POST".into(), "GET".into()], suffix: "/voice".into(), purpose: "calls".into() },
            RouteSpec { methods: vec!["GET".into()], suffix: "/.well-known/who".into(), purpose: "names".into() },
        ],
        capability: Capability {
            reply: false,
            reply_window_s: None,
            max_text: None,
            subject: false,
            can_start: false,
            attachments: false,
        },
        strength: Strength::Signature,
        max_body: 1000,
        hosts: vec!["keys.acme.example".into(), "*.media.example".into()],
    }
}

pub(crate) fn event(key: &str) -> Event {
    Event {
        kind: Kind::Message,
        idempotency_key: key.into(),
        timestamp: None,
        sender: None,
        sender_name: None,
        claimed: vec![],
        recipient: None,
        subject: None,
        text: Some("hello".into()),
        text_source: None,
        message_id: None,
        thread_id: None,
        in_reply_to: None,
        references: vec![],
        call_id: None,
        conversation_id: None,
        event_id: None,
        dtmf: None,
        confidence: None,
        language: None,
        status: None,
        duration_s: None,
        recording_id: None,
        location: None,
        address: None,
        service_code: None,
        attributes: vec![],
        fields: vec![],
        flags: vec![],
        must_not_autorespond: false,
        attachments: vec![],
        threading: Threading::Key("call-1".into()),
        department: None,
        task: None,
        asks_about: None,
        public: false,
    }
}

pub(crate) fn outgoing() -> Outgoing {
    Outgoing {
        id: "out-1".into(),
        case_reference: Some("482-109-3726".into()),
        recipient: Handle { scheme: "phone".into(), value: "+34600111222".into() },
        sender: None,
        subject: None,
        text: "The lamp is mended".into(),
        language: None,
        in_reply_to: None,
        conversation_id: None,
        thread_id: None,
        references: vec![],
        last_inbound_at: Some(NOW),
        automatic: false,
        answers: Some(Kind::Message),
        now: NOW,
    }
}

pub(crate) fn request(body: &[u8]) -> Request {
    Request {
        method: "POST".into(),
        url: format!("{URL}/voice"),
        suffix: "/voice".into(),
        query: None,
        headers: vec![],
        body: body.to_vec(),
        received_at: NOW,
    }
}

pub(crate) const NOW: i64 = 1_700_000_000_000;

/// A look-up of whatever is public.
pub(crate) fn any_case(limit: u32) -> Lookup {
    Lookup {
        references: vec![],
        service_codes: vec![],
        statuses: vec![],
        opened_from: None,
        opened_until: None,
        updated_from: None,
        updated_until: None,
        limit,
    }
}

/// A check of `HMAC-SHA256(body)` in the header `x-signature`, in hexadecimal.
pub(crate) fn check(request: &Request) -> Check {
    let tag = request.headers.iter().find(|header| header.name == "x-signature").map(|header| header.value.clone());
    Check {
        scheme: Scheme::HmacSha256,
        key: Key::Secret("auth_token".into()),
        message: request.body.clone(),
        tag: tag.unwrap_or_default(),
        encoding: Encoding::Hex,
        signed_at: None,
        nonce: None,
        body_digest: None,
        credential_header: None,
    }
}

pub(crate) fn sign(body: &[u8]) -> Vec<u8> {
    let mac = signatures::mac(signatures::Scheme::HmacSha256, SECRET.as_bytes(), body).unwrap();
    signatures::encoding::encode(&mac, signatures::Encoding::Hex)
}

type Authenticate = dyn Fn(&Request, &[Fetched]) -> Authentication;
type Render = dyn Fn(&Outgoing, &Context) -> Result<Vec<Call>, Refusal>;
type Translate = dyn Fn(&Request, &[Fetched]) -> Translation;

pub(crate) struct Fake {
    pub(crate) settings: String,
    pub(crate) authenticate: Box<Authenticate>,
    pub(crate) translate: Box<Translate>,
    /// What the connector answers, whatever the outcome.
    pub(crate) answer: u16,
    pub(crate) profile: Result<Option<TenantProfile>, StoreError>,
    pub(crate) journal: Result<String, StoreError>,
    /// Errors of the next calls of `record`; afterwards it succeeds.
    pub(crate) record_errors: RefCell<VecDeque<StoreError>>,
    pub(crate) stored: RefCell<Vec<(Envelope, Disposition, Vec<Event>)>>,
    pub(crate) envelopes: Vec<Envelope>,
    pub(crate) body: Result<Vec<u8>, BodyError>,
    pub(crate) sends: RefCell<VecDeque<Result<Inbound, Failure>>>,
    pub(crate) sent: RefCell<Vec<Outbound>>,
    pub(crate) host_retries: bool,
    pub(crate) trace: RefCell<Vec<&'static str>>,
    pub(crate) lines: RefCell<Vec<String>>,
    pub(crate) outcome: RefCell<Option<Outcome>>,
    pub(crate) descriptor: Descriptor,
    pub(crate) render: Box<Render>,
    /// Items of the next claims.
    pub(crate) outbox: RefCell<VecDeque<Vec<Item>>>,
    pub(crate) settled: RefCell<Vec<(String, Settlement)>>,
    pub(crate) settle_errors: RefCell<VecDeque<StoreError>>,
    pub(crate) now: Cell<i64>,
    /// The variable.
    pub(crate) spool: &'static str,
    /// The key-value store.
    pub(crate) pairs: RefCell<BTreeMap<String, Vec<u8>>>,
    /// Calls of the key-value store that still succeed; `None`: all of them.
    pub(crate) keeps: Cell<Option<u32>>,
    pub(crate) chance: Cell<u8>,
    /// Nonces, and what they came with.
    nonces: RefCell<BTreeMap<String, Vec<u8>>>,
}

impl Fake {
    pub(crate) fn new(body: &[u8]) -> Self {
        Self {
            settings: format!(r#"{{"madrid": {{"public_url": "{URL}", "auth_token": "{SECRET}"}}}}"#),
            authenticate: Box::new(|request, _| Authentication::Check(vec![check(request)])),
            translate: Box::new(|_, _| Translation::Events(vec![event("e1")])),
            answer: 200,
            profile: Ok(None),
            journal: Ok("journalled".into()),
            record_errors: RefCell::default(),
            stored: RefCell::default(),
            envelopes: vec![],
            body: Ok(body.to_vec()),
            sends: RefCell::default(),
            sent: RefCell::default(),
            host_retries: true,
            trace: RefCell::default(),
            lines: RefCell::default(),
            outcome: RefCell::default(),
            descriptor: descriptor(),
            render: Box::new(|_, _| Err(Refusal { reason: RefusalReason::Unsupported, detail: "no".into() })),
            outbox: RefCell::default(),
            settled: RefCell::default(),
            settle_errors: RefCell::default(),
            now: Cell::new(NOW),
            spool: "off",
            pairs: RefCell::default(),
            keeps: Cell::new(None),
            chance: Cell::new(0),
            nonces: RefCell::default(),
        }
    }

    /// Serves a request with these headers.
    pub(crate) fn serve(&self, method: &str, target: &str, headers: &[(&str, &[u8])]) -> Response {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), value.to_vec())).collect();
        let head = Head::new(method, target.into(), headers);
        run(pipeline::serve(self, &head))
    }

    /// Serves a request with the right signature.
    pub(crate) fn serve_signed(&self) -> Response {
        let signature = sign(self.body.as_deref().unwrap_or_default());
        self.serve("POST", "/telephony/acme/madrid/voice?a=%20b", &[("x-signature", &signature)])
    }

    pub(crate) fn trace(&self) -> Vec<&'static str> {
        self.trace.borrow().clone()
    }

    /// A step of the key-value store.
    fn step(&self, name: &'static str) -> Result<(), Failure> {
        self.called(name);
        match self.keeps.get() {
            Some(0) => Err("the disk is full".into()),
            Some(left) => {
                self.keeps.set(Some(left - 1));
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn called(&self, name: &'static str) {
        self.trace.borrow_mut().push(name);
    }
}

/// Everything in the fake is ready at once.
pub(crate) fn run<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut TaskContext::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("a fake waited"),
    }
}

impl Ports for Fake {
    fn describe(&self) -> Descriptor {
        self.descriptor.clone()
    }

    fn render(&self, message: &Outgoing, context: &Context) -> Result<Vec<Call>, Refusal> {
        self.called("render");
        (self.render)(message, context)
    }

    async fn claim(&self, connector: &str, now: i64, until: i64, _: u32) -> Result<Vec<Item>, StoreError> {
        assert!(connector == "telephony/acme" && until > now);
        Ok(self.outbox.borrow_mut().pop_front().unwrap_or_default())
    }

    async fn queues(&self) -> Result<Vec<Queue>, StoreError> {
        let queue = |connector: &str, due_at| Queue { connector: connector.into(), items: 1, due_at };
        Ok(vec![queue("a/b", NOW), queue("c/d", NOW + 1)])
    }

    async fn settle(&self, id: &str, _: i64, settlement: Settlement) -> Result<(), StoreError> {
        if let Some(error) = self.settle_errors.borrow_mut().pop_front() {
            return Err(error);
        }
        self.called("settle");
        self.settled.borrow_mut().push((id.to_owned(), settlement));
        Ok(())
    }

    fn authenticate(&self, request: &Request, _: &Context, fetched: &[Fetched]) -> Authentication {
        self.called("authenticate");
        (self.authenticate)(request, fetched)
    }

    fn translate(&self, request: &Request, _: &Context, fetched: &[Fetched]) -> Translation {
        self.called("translate");
        (self.translate)(request, fetched)
    }

    fn acknowledge(&self, _: &Request, outcome: &Outcome, _: &Context) -> Response {
        self.called("acknowledge");
        *self.outcome.borrow_mut() = Some(outcome.clone());
        Response {
            status: self.answer,
            headers: vec![("content-type".into(), "text/xml".into())],
            body: b"<Response/>".to_vec(),
        }
    }

    async fn profile(&self, _: &str) -> Result<Option<TenantProfile>, StoreError> {
        self.profile.clone()
    }

    async fn journal(&self, _: Envelope) -> Result<String, StoreError> {
        self.called("journal");
        self.journal.clone()
    }

    async fn record(
        &self,
        envelope: Envelope,
        disposition: Disposition,
        events: Vec<Event>,
    ) -> Result<Vec<Receipt>, StoreError> {
        self.called("record");
        if let Some(error) = self.record_errors.borrow_mut().pop_front() {
            return Err(error);
        }
        // As the store does: the same request again is known by its nonce, another with it is a replay.
        if let (None, Some(nonce)) = (&envelope.id, &envelope.nonce) {
            match self.nonces.borrow().get(nonce) {
                Some(known) if *known != envelope.body => return Err(StoreError::Replayed),
                _ => {}
            }
            self.nonces.borrow_mut().insert(nonce.clone(), envelope.body.clone());
        }
        let receipts = events.iter().map(|event| Receipt {
            event_id: format!("id of {}", event.idempotency_key),
            idempotency_key: event.idempotency_key.clone(),
            duplicate: false,
            case_reference: Some("482-109-3726".into()),
            opened: true,
            asked: None,
        });
        let receipts = receipts.collect();
        self.stored.borrow_mut().push((envelope, disposition, events));
        Ok(receipts)
    }

    async fn envelope(&self, tenant: &str, id: &str) -> Result<Option<Envelope>, StoreError> {
        Ok(self.envelopes.iter().find(|e| e.tenant == tenant && e.id.as_deref() == Some(id)).cloned())
    }

    async fn public_cases(&self, _: &str, lookup: Lookup) -> Result<Vec<PublicCase>, StoreError> {
        self.called("public_cases");
        assert!((1..=1000).contains(&lookup.limit));
        Ok(vec![])
    }

    async fn ready(&self) -> Result<(), StoreError> {
        match self.record_errors.borrow().front() {
            Some(StoreError::Unavailable(why)) => Err(StoreError::Unavailable(why.clone())),
            _ => Ok(()),
        }
    }

    async fn kept(&self, key: &str) -> Result<Option<Vec<u8>>, Failure> {
        self.step("kept")?;
        Ok(self.pairs.borrow().get(key).cloned())
    }

    async fn keep(&self, key: &str, value: &[u8]) -> Result<(), Failure> {
        self.step("keep")?;
        assert!(value.len() <= 262_148 && key.len() < 255, "{key}: {}", value.len());
        self.pairs.borrow_mut().insert(key.to_owned(), value.to_vec());
        Ok(())
    }

    async fn forget(&self, key: &str) -> Result<(), Failure> {
        self.step("forget")?;
        self.pairs.borrow_mut().remove(key);
        Ok(())
    }

    async fn contents(&self) -> Result<Contents, Failure> {
        self.step("contents")?;
        let mut contents = Contents::default();
        // Some backends give keys in no order.
        for key in self.pairs.borrow().keys().rev() {
            contents.add(key.clone());
        }
        Ok(contents.sorted())
    }

    fn chance(&self) -> Result<[u8; 10], Failure> {
        self.chance.set(self.chance.get().wrapping_add(1));
        Ok([self.chance.get(); 10])
    }

    async fn variable(&self, name: &str) -> Result<String, Failure> {
        match name {
            "spool" => Ok(self.spool.into()),
            "courier_token" => Ok("courier".into()),
            "settings" => Ok(self.settings.clone()),
            "api_tokens" => Ok(r#"{"madrid": ["first", "second"], "sevilla": ["third"]}"#.into()),
            _ => Err("no such variable".into()),
        }
    }

    async fn body(&self, limit: usize) -> Result<Vec<u8>, BodyError> {
        match &self.body {
            Ok(body) if body.len() > limit => Err(BodyError::TooLarge),
            body => body.clone(),
        }
    }

    async fn send(&self, request: Outbound) -> Result<Inbound, Failure> {
        self.called("send");
        self.sent.borrow_mut().push(request);
        self.sends.borrow_mut().pop_front().unwrap_or_else(|| Err("no answer".into()))
    }

    fn now(&self) -> i64 {
        self.now.get()
    }

    fn host_retries(&self) -> bool {
        self.host_retries
    }

    fn log(&self, line: &str) {
        self.lines.borrow_mut().push(line.to_owned());
    }
}
