//! What operators say by OpenTelemetry's environment variables
//! (<https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>). A value that can't be meant is an error at the start,
//! not a silent default.

use super::{context::TraceId, tls};
use anyhow::{Context, Result, anyhow, bail};
use http::{HeaderName, HeaderValue, Uri};
use percent_encoding::percent_decode_str;
use std::{sync::Arc, time::Duration};
use tokio_rustls::rustls::ClientConfig;

/// Where spans go, how, and which.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Complete, `http` or `https`.
    pub(super) endpoint: Uri,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    /// Whose certificates are believed, and who we are. Made here, so that a file that can't be used ends the start at once.
    pub(super) tls: Arc<ClientConfig>,
    /// Of one export.
    pub(super) timeout: Duration,
    /// Between two exports.
    pub(super) delay: Duration,
    /// Spans held at most; what is more is dropped and counted.
    pub(super) queue: usize,
    /// Spans of one export.
    pub(super) batch: usize,
    pub(super) sampler: Sampler,
    pub(super) resource: Vec<(String, String)>,
    /// Whether a request's `traceparent` is continued: it comes from our own proxy, which removes those of others.
    pub trust: bool,
}

/// Which traces are recorded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sampler {
    /// Whether a trusted parent decides.
    parent: bool,
    ratio: f64,
}

impl Sampler {
    pub(super) fn samples(self, trace: TraceId, parent: Option<bool>) -> bool {
        if let (true, Some(sampled)) = (self.parent, parent) {
            return sampled;
        }
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_sign_loss,
            clippy::cast_possible_truncation,
            reason = "a share of 2^63"
        )]
        let bound = (self.ratio * (1_u64 << 63) as f64) as u64;
        trace.chance() < bound
    }
}

impl Settings {
    /// From this process's environment. `None`: no endpoint is set, nothing is traced.
    pub fn from_environment() -> Result<Option<Self>> {
        Self::read(|name| std::env::var(name).ok())
    }

    /// From anywhere.
    pub fn read(get: impl Fn(&str) -> Option<String>) -> Result<Option<Self>> {
        // An empty value is as none.
        let get = |name: &str| get(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        let either = |name: &'static str| {
            let own = format!("OTEL_EXPORTER_OTLP_TRACES_{name}");
            let all = format!("OTEL_EXPORTER_OTLP_{name}");
            get(&own).map(|value| (own, value)).or_else(|| get(&all).map(|value| (all, value)))
        };
        let Some((name, endpoint)) = either("ENDPOINT") else { return Ok(None) };
        if flag("OTEL_SDK_DISABLED", get("OTEL_SDK_DISABLED").as_deref())? {
            return Ok(None);
        }
        match get("OTEL_TRACES_EXPORTER").as_deref() {
            None | Some("otlp") => {}
            Some("none") => return Ok(None),
            Some(other) => bail!("OTEL_TRACES_EXPORTER is {other:?}: write otlp or none"),
        }
        if let Some((name, value)) = either("PROTOCOL").filter(|(_, value)| value != "http/protobuf") {
            bail!("{name} is {value:?}: only http/protobuf is supported, at most collectors on port 4318");
        }
        if let Some((name, value)) = either("COMPRESSION").filter(|(_, value)| value != "none") {
            bail!("{name} is {value:?}: only none is supported");
        }
        for propagator in get("OTEL_PROPAGATORS").unwrap_or_default().split(',').map(str::trim) {
            // Baggage carries whatever a program puts into it, to whoever is called: not from here.
            if !matches!(propagator, "" | "tracecontext" | "baggage") {
                bail!("OTEL_PROPAGATORS has {propagator:?}: only tracecontext is supported");
            }
        }
        let file = |name: &'static str| {
            either(name)
                .map(|(name, file)| {
                    std::fs::read_to_string(&file)
                        .with_context(|| format!("{name}: can't read {file}: name a PEM file"))
                })
                .transpose()
        };
        let authority = file("CERTIFICATE")?;
        let tls = match (file("CLIENT_CERTIFICATE")?, file("CLIENT_KEY")?) {
            (None, None) => tls::config(authority.as_deref(), None)?,
            (Some(certificate), Some(key)) => tls::config(authority.as_deref(), Some((&certificate, &key)))?,
            _ => bail!(
                "only one of OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and OTEL_EXPORTER_OTLP_CLIENT_KEY is set: name both files"
            ),
        };
        let headers = either("HEADERS").map(|(name, value)| headers(&name, &value)).transpose()?.unwrap_or_default();
        let timeout = either("TIMEOUT").map(|(name, value)| number(&name, &value)).transpose()?.unwrap_or(10_000);
        let batching = |name: &str, default: u64| match get(name) {
            Some(value) => number(name, &value),
            None => Ok(default),
        };
        let queue = batching("OTEL_BSP_MAX_QUEUE_SIZE", 2048)?;
        let batch = batching("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512)?.min(queue);
        Ok(Some(Self {
            endpoint: address(&name, &endpoint)?,
            headers,
            tls,
            timeout: Duration::from_millis(timeout),
            delay: Duration::from_millis(batching("OTEL_BSP_SCHEDULE_DELAY", 5000)?),
            queue: usize::try_from(queue).unwrap_or(usize::MAX),
            batch: usize::try_from(batch).unwrap_or(usize::MAX),
            sampler: sampler(get("OTEL_TRACES_SAMPLER").as_deref(), get("OTEL_TRACES_SAMPLER_ARG").as_deref())?,
            resource: resource(get("OTEL_SERVICE_NAME"), get("OTEL_RESOURCE_ATTRIBUTES").as_deref())?,
            trust: false,
        }))
    }
}

fn flag(name: &str, value: Option<&str>) -> Result<bool> {
    match value.map(str::to_ascii_lowercase).as_deref() {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(other) => bail!("{name} is {other:?}: write true or false"),
    }
}

fn number(name: &str, value: &str) -> Result<u64> {
    value
        .parse()
        .ok()
        .filter(|number| *number > 0)
        .ok_or_else(|| anyhow!("{name} is {value:?}: write a whole number greater than 0"))
}

/// The signal's own endpoint is taken as it is; to the common one the signal's path is added.
fn address(name: &str, text: &str) -> Result<Uri> {
    let complete =
        if name.contains("TRACES") { text.to_owned() } else { format!("{}/v1/traces", text.trim_end_matches('/')) };
    let uri: Option<Uri> = complete.parse().ok();
    // The value may have a password in it: it is not repeated.
    uri.filter(|uri| matches!(uri.scheme_str(), Some("http" | "https")))
        .filter(|uri| uri.authority().is_some_and(|authority| !authority.as_str().contains('@')))
        .ok_or_else(|| {
            anyhow!("{name} is no URL: write http://HOST:4318 or https://…; a password belongs into OTEL_EXPORTER_OTLP_HEADERS")
        })
}

/// `key=value,key=value`, values percent-encoded.
fn pairs(name: &str, text: &str) -> Result<Vec<(String, String)>> {
    let pair = |part: &str| {
        let (key, value) = part.split_once('=')?;
        let value = percent_decode_str(value.trim()).decode_utf8().ok()?.into_owned();
        let key = key.trim().to_owned();
        (!key.is_empty()).then_some((key, value))
    };
    text.split(',')
        .filter(|part| !part.trim().is_empty())
        .map(|part| pair(part).ok_or_else(|| anyhow!("{name} is not like name=value,name=value")))
        .collect()
}

fn headers(name: &str, text: &str) -> Result<Vec<(HeaderName, HeaderValue)>> {
    pairs(name, text)?
        .into_iter()
        .map(|(key, value)| {
            let mut value = HeaderValue::try_from(value)
                .ok()
                .with_context(|| format!("{name}: the value of {key:?} can't be sent"))?;
            value.set_sensitive(true);
            let key =
                HeaderName::try_from(&key).ok().with_context(|| format!("{name}: {key:?} is no header's name"))?;
            Ok((key, value))
        })
        .collect()
}

fn sampler(name: Option<&str>, argument: Option<&str>) -> Result<Sampler> {
    let (parent, word) = match name.unwrap_or("parentbased_always_on") {
        name if name.starts_with("parentbased_") => (true, name.trim_start_matches("parentbased_")),
        name => (false, name),
    };
    let ratio = match (word, argument) {
        ("always_on", _) => 1.0,
        ("always_off", _) => 0.0,
        ("traceidratio", None) => 1.0,
        ("traceidratio", Some(argument)) => argument
            .parse()
            .ok()
            .filter(|ratio| (0.0..=1.0).contains(ratio))
            .ok_or_else(|| anyhow!("OTEL_TRACES_SAMPLER_ARG is {argument:?}: write a number from 0 to 1"))?,
        _ => bail!(
            "OTEL_TRACES_SAMPLER is {:?}: write always_on, always_off or traceidratio, or one of them after parentbased_",
            name.unwrap_or_default()
        ),
    };
    Ok(Sampler { parent, ratio })
}

fn resource(service: Option<String>, attributes: Option<&str>) -> Result<Vec<(String, String)>> {
    let mut all = pairs("OTEL_RESOURCE_ATTRIBUTES", attributes.unwrap_or_default())?;
    if let Some(service) = service {
        all.retain(|(key, _)| key != "service.name");
        all.push(("service.name".into(), service));
    }
    let ours = [
        ("service.name", "ventanilla".to_owned()),
        ("service.version", env!("CARGO_PKG_VERSION").into()),
        // Which of several processes.
        ("service.instance.id", TraceId::random().to_string()),
        ("telemetry.sdk.name", "ventanilla".into()),
        ("telemetry.sdk.language", "rust".into()),
        ("telemetry.sdk.version", env!("CARGO_PKG_VERSION").into()),
    ];
    for (key, value) in ours {
        if !all.iter().any(|(known, _)| known == key) {
            all.push((key.into(), value));
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Option<Settings>> {
        Settings::read(|name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
    }

    const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/");

    #[test]
    fn without_an_endpoint_or_disabled_nothing_is_traced() {
        for variables in [
            vec![],
            vec![("OTEL_EXPORTER_OTLP_ENDPOINT", " ")],
            vec![("OTEL_TRACES_SAMPLER", "always_on")],
            vec![ENDPOINT, ("OTEL_SDK_DISABLED", "TRUE")],
            vec![ENDPOINT, ("OTEL_TRACES_EXPORTER", "none")],
        ] {
            assert!(read(&variables).unwrap().is_none(), "{variables:?}");
        }
    }

    #[test]
    fn endpoints_headers_and_resource_are_those_of_the_specification() {
        let found = read(&[
            ENDPOINT,
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Basic%20abc, x-scope=madrid"),
            ("OTEL_SERVICE_NAME", "window"),
            ("OTEL_RESOURCE_ATTRIBUTES", "service.name=other,deployment.environment.name=a%2Cb"),
            ("OTEL_SDK_DISABLED", "false"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
            ("OTEL_PROPAGATORS", "tracecontext,baggage"),
        ]);
        let found = found.unwrap().unwrap();
        assert_eq!(found.endpoint, "http://collector:4318/v1/traces");
        let headers: Vec<_> =
            found.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        assert_eq!(headers, [("authorization", "Basic abc"), ("x-scope", "madrid")]);
        let of = |key: &str| {
            found.resource.iter().filter(|(known, _)| known == key).map(|(_, value)| value.as_str()).collect::<Vec<_>>()
        };
        assert_eq!(of("service.name"), ["window"]);
        assert_eq!(of("deployment.environment.name"), ["a,b"]);
        let own = read(&[ENDPOINT, ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://elsewhere/otlp")]).unwrap().unwrap();
        assert_eq!(own.endpoint, "https://elsewhere/otlp");
        assert!(own.sampler.samples(TraceId::random(), None));
    }

    #[test]
    fn a_value_that_can_not_be_meant_is_an_error_that_names_the_variable() {
        for (name, value) in [
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "collector:4318"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "grpc://collector:4317"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://me:sesame@collector"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "sesame"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a b=sesame"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/there/is/no/such/file"),
            ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "Cargo.toml"),
            ("OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", "/there/is/no/such/file"),
            ("OTEL_TRACES_SAMPLER", "sometimes"),
            ("OTEL_TRACES_SAMPLER", "parentbased_"),
            ("OTEL_TRACES_EXPORTER", "console"),
            ("OTEL_PROPAGATORS", "b3"),
            ("OTEL_RESOURCE_ATTRIBUTES", "novalue"),
            ("OTEL_SDK_DISABLED", "1"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "0"),
        ] {
            let error = format!("{:#}", read(&[ENDPOINT, (name, value)]).unwrap_err());
            assert!(error.contains(name) && !error.contains("sesame"), "{error}");
        }
        let ratio = [ENDPOINT, ("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "10%")];
        assert!(read(&ratio).unwrap_err().to_string().contains("OTEL_TRACES_SAMPLER_ARG"));
    }

    #[test]
    fn a_parent_decides_only_where_the_sampler_says_so() {
        let with = |name, argument| sampler(Some(name), argument).unwrap();
        let trace = TraceId::random();
        assert!(with("parentbased_always_off", None).samples(trace, Some(true)));
        assert!(!with("parentbased_always_off", None).samples(trace, None));
        assert!(!with("parentbased_always_on", None).samples(trace, Some(false)));
        assert!(with("always_on", None).samples(trace, Some(false)));
        assert!(!with("always_off", None).samples(trace, Some(true)));
        let tenth = with("traceidratio", Some("0.1"));
        let sampled = (0..4000).filter(|_| tenth.samples(TraceId::random(), Some(true))).count();
        assert!((200..700).contains(&sampled), "{sampled} of 4000");
    }
}
