//! The work: signed telephone calls and messages, every one another.

/// The secret all programs under test are given. It protects nothing.
pub const AUTH_TOKEN: &str = "benchmark-token-of-no-value";

/// The tenant.
pub const TENANT: &str = "bench";

/// Another one, which sends fifty times as much as it does on other days.
pub const LOUD: &str = "loud";

/// What the provider was told: behind the proxy of a real deployment, so not the address that is called.
pub const PUBLIC_URL: &str = "https://bench.example.org/telephony/twilio/bench";

/// What stands before the path of every public URL.
const PUBLIC_ROOT: &str = "https://bench.example.org";
/// Where calls go, before the tenant's name.
const VOICE: &str = "/telephony/twilio/";
/// Where messages go.
const MESSAGES: &str = "/messaging/twilio/";

/// One request, ready to be sent.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// Path and query.
    pub target: String,
    /// Value of `X-Twilio-Signature`.
    pub signature: String,
    /// Form.
    pub body: String,
}

/// The settings of the tenants as the gateway's variable for calls wants them.
pub fn settings() -> String {
    settings_at(VOICE)
}

/// The same for messages.
pub fn message_settings() -> String {
    settings_at(MESSAGES)
}

fn settings_at(route: &str) -> String {
    let of = |tenant: &str| serde_json::json!({"public_url": format!("{PUBLIC_ROOT}{route}{tenant}"), "auth_token": AUTH_TOKEN});
    serde_json::json!({TENANT: of(TENANT), LOUD: of(LOUD)}).to_string()
}

/// `count` incoming calls whose ids begin with `run`.
///
/// # Errors
///
/// None in practice: the key is not empty.
pub fn incoming(run: &str, count: usize) -> anyhow::Result<Vec<Prepared>> {
    incoming_of(TENANT, run, count)
}

/// The same of this tenant.
///
/// # Errors
///
/// As [`incoming`].
pub fn incoming_of(tenant: &str, run: &str, count: usize) -> anyhow::Result<Vec<Prepared>> {
    (0..count).map(|index| call(tenant, run, index)).collect()
}

/// `count` text messages whose ids begin with `run`, each from somebody else.
///
/// # Errors
///
/// As [`incoming`].
pub fn messages(run: &str, count: usize) -> anyhow::Result<Vec<Prepared>> {
    (0..count).map(|index| message(run, index)).collect()
}

fn message(run: &str, index: usize) -> anyhow::Result<Prepared> {
    let id = format!("SM{run}{index:030}");
    let fields = vec![
        ("AccountSid", "AC00000000000000000000000000000000".to_owned()),
        ("ApiVersion", "2010-04-01".to_owned()),
        ("Body", "The street lamp in front of number 12 is out".to_owned()),
        ("From", format!("+346{:08}", index % 100_000_000)),
        ("FromCountry", "ES".to_owned()),
        ("MessageSid", id.clone()),
        ("NumMedia", "0".to_owned()),
        ("NumSegments", "1".to_owned()),
        ("SmsMessageSid", id.clone()),
        ("SmsSid", id),
        ("SmsStatus", "received".to_owned()),
        ("To", "+34910000001".to_owned()),
    ];
    signed(&format!("{MESSAGES}{TENANT}/message"), fields)
}

fn call(tenant: &str, run: &str, index: usize) -> anyhow::Result<Prepared> {
    let caller = format!("+346{:08}", index % 100_000_000);
    let fields = vec![
        ("AccountSid", "AC00000000000000000000000000000000".to_owned()),
        ("ApiVersion", "2010-04-01".to_owned()),
        ("CallSid", format!("CA{run}{index:030}")),
        ("CallStatus", "ringing".to_owned()),
        ("Called", "+34910000000".to_owned()),
        ("Caller", caller.clone()),
        ("Direction", "inbound".to_owned()),
        ("From", caller),
        ("FromCity", "Valencia".to_owned()),
        ("FromCountry", "ES".to_owned()),
        ("To", "+34910000000".to_owned()),
    ];
    signed(&format!("{VOICE}{tenant}/voice"), fields)
}

/// A form as the provider signs it: the URL, then names and values in byte order of the names.
fn signed(target: &str, mut fields: Vec<(&str, String)>) -> anyhow::Result<Prepared> {
    fields.sort();
    let mut signed = format!("{PUBLIC_ROOT}{target}");
    let mut body = String::new();
    for (name, value) in &fields {
        signed.push_str(name);
        signed.push_str(value);
        if !body.is_empty() {
            body.push('&');
        }
        body.push_str(name);
        body.push('=');
        body.push_str(&value.replace('+', "%2B").replace(' ', "+"));
    }
    Ok(Prepared { target: target.to_owned(), signature: sign(signed.as_bytes())?, body })
}

fn sign(message: &[u8]) -> anyhow::Result<String> {
    let tag = signatures::mac(signatures::Scheme::HmacSha1, AUTH_TOKEN.as_bytes(), message)
        .map_err(|error| anyhow::anyhow!("signing a benchmark call: {error}"))?;
    Ok(String::from_utf8(signatures::encoding::encode(&tag, signatures::Encoding::Base64))?)
}
