//! The work: signed telephone calls, every one another call.

/// The secret all programs under test are given. It protects nothing.
pub const AUTH_TOKEN: &str = "benchmark-token-of-no-value";

/// The tenant.
pub const TENANT: &str = "bench";

/// Another one, which sends fifty times as much as it does on other days.
pub const LOUD: &str = "loud";

/// What the provider was told: behind the proxy of a real deployment, so not the address that is called.
pub const PUBLIC_URL: &str = "https://bench.example.org/telephony/twilio/bench";

/// Before the tenant's name.
const PUBLIC_ROOT: &str = "https://bench.example.org/telephony/twilio/";

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

/// The settings of the tenants as the gateway's variable wants them.
pub fn settings() -> String {
    let of =
        |tenant: &str| serde_json::json!({"public_url": format!("{PUBLIC_ROOT}{tenant}"), "auth_token": AUTH_TOKEN});
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
    (0..count).map(|index| prepare(tenant, run, index, "ringing", "/voice")).collect()
}

/// `count` status callbacks (the traffic that is not voice): no call of [`incoming`].
///
/// # Errors
///
/// As [`incoming`].
pub fn statuses(run: &str, count: usize) -> anyhow::Result<Vec<Prepared>> {
    (0..count).map(|index| prepare(TENANT, run, index, "completed", "/status")).collect()
}

fn prepare(tenant: &str, run: &str, index: usize, status: &str, suffix: &str) -> anyhow::Result<Prepared> {
    let call = format!("CA{run}{index:030}");
    let caller = format!("+346{:08}", index % 100_000_000);
    // In byte order of the names: that is how the provider signs them.
    let mut fields = vec![
        ("AccountSid", "AC00000000000000000000000000000000".to_owned()),
        ("ApiVersion", "2010-04-01".to_owned()),
        ("CallSid", call),
        ("CallStatus", status.to_owned()),
        ("Called", "+34910000000".to_owned()),
        ("Caller", caller.clone()),
        ("Direction", "inbound".to_owned()),
        ("From", caller),
        ("FromCity", "Valencia".to_owned()),
        ("FromCountry", "ES".to_owned()),
        ("To", "+34910000000".to_owned()),
    ];
    if status == "completed" {
        fields.push(("CallDuration", "61".to_owned()));
    }
    fields.sort();
    let target = format!("/telephony/twilio/{tenant}{suffix}");
    let mut signed = format!("{PUBLIC_ROOT}{tenant}{suffix}");
    let mut body = String::new();
    for (name, value) in &fields {
        signed.push_str(name);
        signed.push_str(value);
        if !body.is_empty() {
            body.push('&');
        }
        body.push_str(name);
        body.push('=');
        body.push_str(&value.replace('+', "%2B"));
    }
    Ok(Prepared { target, signature: sign(signed.as_bytes())?, body })
}

fn sign(message: &[u8]) -> anyhow::Result<String> {
    let tag = signatures::mac(signatures::Scheme::HmacSha1, AUTH_TOKEN.as_bytes(), message)
        .map_err(|error| anyhow::anyhow!("signing a benchmark call: {error}"))?;
    Ok(String::from_utf8(signatures::encoding::encode(&tag, signatures::Encoding::Base64))?)
}
