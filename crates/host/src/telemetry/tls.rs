//! TLS to the collector: who is believed, who we are, and what to do when there is no connection.

use anyhow::{Context, Result, bail};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, Error, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use std::sync::Arc;
use tokio_rustls::rustls;

/// From files' texts (PEM): an authority besides the web's; our certificate and its key.
pub(super) fn config(authority: Option<&str>, client: Option<(&str, &str)>) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(pem) = authority {
        for certificate in certificates("OTEL_EXPORTER_OTLP_CERTIFICATE", pem)? {
            roots.add(certificate).context("OTEL_EXPORTER_OTLP_CERTIFICATE has an invalid certificate")?;
        }
    }
    let builder = ClientConfig::builder().with_root_certificates(roots);
    let Some((certificate, key)) = client else { return Ok(Arc::new(builder.with_no_client_auth())) };
    let chain = certificates("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", certificate)?;
    // Nothing of the file is in an error.
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
        .ok()
        .context("OTEL_EXPORTER_OTLP_CLIENT_KEY: the file has no private key in PEM without a password")?;
    let config = builder
        .with_client_auth_cert(chain, key)
        .context("OTEL_EXPORTER_OTLP_CLIENT_KEY is not the key of OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE")?;
    Ok(Arc::new(config))
}

fn certificates(name: &str, pem: &str) -> Result<Vec<CertificateDer<'static>>> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<_, _>>()
        .with_context(|| format!("{name} is not PEM"))?;
    if found.is_empty() {
        bail!("{name}: the file has no -----BEGIN CERTIFICATE-----");
    }
    Ok(found)
}

/// What the operator can do about an export that failed, where that can be told from the error.
pub(super) fn remedy(error: &anyhow::Error, secure: bool) -> Option<&'static str> {
    let found = error.chain().find_map(|cause| {
        let within = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        cause.downcast_ref::<Error>().or_else(|| within?.downcast_ref::<Error>())
    });
    match found {
        Some(Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
            Some("name a PEM file with the certificate of its authority in OTEL_EXPORTER_OTLP_CERTIFICATE")
        }
        Some(Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        )) => Some("write the name that its certificate is for into the endpoint"),
        Some(Error::InvalidCertificate(
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. },
        )) => Some("renew its certificate, or put this machine's clock right"),
        Some(Error::InvalidCertificate(_)) => {
            Some("its certificate has to be signed by an authority; name that one's in OTEL_EXPORTER_OTLP_CERTIFICATE")
        }
        Some(Error::InvalidMessage(_)) => Some("it does not speak TLS there: write http://, or the port where it does"),
        Some(Error::AlertReceived(
            AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::HandshakeFailure,
        )) => Some(
            "it wants another certificate of ours: OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and OTEL_EXPORTER_OTLP_CLIENT_KEY",
        ),
        // It hung up, or spoke something else.
        _ if error.chain().any(|cause| cause.is::<hyper::Error>()) => Some(if secure {
            "is it OTLP's port for HTTP (4318; gRPC's, 4317, is not supported)? does it want OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE?"
        } else {
            "is it OTLP's port for HTTP (4318; gRPC's, 4317, is not supported)? does it speak TLS there (https://)?"
        }),
        _ => None,
    }
}
