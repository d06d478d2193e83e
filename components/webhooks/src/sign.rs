//! Standard Webhooks 1.0: three headers that say what is sent, when, and that it is ours.

use signatures::{Encoding, Scheme, encoding, mac};

use crate::cloud_event::CONTENT_TYPE;

/// The headers of one message. The id is the same at every try, the time is the try's.
pub(crate) fn headers(id: &str, at: i64, body: &[u8], secrets: &[Vec<u8>]) -> Result<Vec<(String, Vec<u8>)>, String> {
    let seconds = at.div_euclid(1000).to_string();
    let signed = [id.as_bytes(), b".", seconds.as_bytes(), b".", body].concat();
    let mut tags = Vec::new();
    for secret in secrets {
        let tag = mac(Scheme::HmacSha256, secret, &signed).map_err(|error| error.to_string())?;
        if !tags.is_empty() {
            tags.push(b' ');
        }
        tags.extend_from_slice(b"v1,");
        tags.extend(encoding::encode(&tag, Encoding::Base64));
    }
    let text = |name: &str, value: &str| (name.to_owned(), value.as_bytes().to_vec());
    Ok(vec![
        text("content-type", CONTENT_TYPE),
        text("content-length", &body.len().to_string()),
        text("user-agent", concat!("ventanilla/", env!("CARGO_PKG_VERSION"))),
        text("webhook-id", id),
        text("webhook-timestamp", &seconds),
        ("webhook-signature".to_owned(), tags),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's own libraries.
    #[test]
    fn the_specification_s_example_is_signed_as_it_is_there() {
        let secret = encoding::secret_base64(b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let headers = headers(
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330_999,
            br#"{"test": 2432232314}"#,
            &[secret.clone(), secret],
        )
        .unwrap();
        let tag = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        let value =
            |wanted: &str| headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone()).unwrap();
        assert_eq!(value("webhook-timestamp"), b"1614265330");
        assert_eq!(String::from_utf8(value("webhook-signature")).unwrap(), format!("{tag} {tag}"));
    }
}
