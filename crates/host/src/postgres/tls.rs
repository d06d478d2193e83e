//! TLS to the server: rustls, the web's authorities and the component's own, and channel binding (RFC 5929).

use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use sha2::{Digest, Sha256, Sha384, Sha512};
use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};
use tokio_rustls::{TlsConnector, client, rustls};

/// Trusted authorities: those of the web, and the certificates in `ca` (PEM).
pub(super) fn config(ca: Option<&str>) -> Result<Arc<rustls::ClientConfig>, String> {
    let mut roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(ca) = ca {
        for certificate in certificates(ca)? {
            roots.add(certificate).map_err(|error| format!("invalid root certificate: {error}"))?;
        }
    }
    Ok(Arc::new(rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()))
}

/// The certificates of a PEM text; none at all is an error.
pub(super) fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err("invalid root certificate: the text has no -----BEGIN CERTIFICATE-----".into()),
        Err(error) => Err(format!("invalid root certificate: {error}")),
    }
}

/// For one connection.
pub(super) struct Connector {
    pub(super) config: Arc<rustls::ClientConfig>,
    /// The name (or address) the certificate must be for.
    pub(super) host: String,
}

impl TlsConnect<TcpStream> for Connector {
    type Stream = Encrypted;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Encrypted>> + Send>>;

    fn connect(self, stream: TcpStream) -> Self::Future {
        Box::pin(async move {
            let name =
                ServerName::try_from(self.host).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
            Ok(Encrypted(TlsConnector::from(self.config).connect(name, stream).await?))
        })
    }
}

/// An encrypted connection.
pub(super) struct Encrypted(client::TlsStream<TcpStream>);

impl TlsStream for Encrypted {
    fn channel_binding(&self) -> ChannelBinding {
        let certificates = self.0.get_ref().1.peer_certificates();
        match certificates.and_then(|list| list.first()).and_then(|first| end_point(first)) {
            Some(hash) => ChannelBinding::tls_server_end_point(hash),
            None => ChannelBinding::none(),
        }
    }
}

/// `tls-server-end-point`: the certificate's hash by the algorithm of its signature, SHA-256 instead of MD5 and SHA-1 (RFC 5929 §4.1).
fn end_point(certificate: &[u8]) -> Option<Vec<u8>> {
    // Certificate ::= SEQUENCE { tbsCertificate, signatureAlgorithm SEQUENCE { OBJECT IDENTIFIER, … }, … } (RFC 5280 §4.1)
    let (outer, _) = element(certificate)?;
    let (_, rest) = element(outer)?;
    let (algorithm, _) = element(rest)?;
    let (identifier, _) = element(algorithm)?;
    // 1.2.840.113549.1.1 (PKCS #1) and 1.2.840.10045.4.3 (ECDSA with SHA-2).
    match identifier {
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 4 | 5 | 11]
        | [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 2]
        | [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x01] => Some(Sha256::digest(certificate).to_vec()),
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 12] | [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 3] => {
            Some(Sha384::digest(certificate).to_vec())
        }
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 13] | [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 4] => {
            Some(Sha512::digest(certificate).to_vec())
        }
        // PSS and Ed25519 name no single hash that all servers agree on.
        _ => None,
    }
}

/// Contents of the first DER element and what follows it.
fn element(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (_, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
        if bytes.len() > 4 {
            return None;
        }
        (bytes.iter().fold(0_usize, |length, byte| (length << 8) | usize::from(*byte)), rest)
    };
    rest.split_at_checked(length)
}

impl AsyncRead for Encrypted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Encrypted {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_without_a_certificate_is_refused() {
        for bad in ["", "sesame", "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n"] {
            assert!(config(Some(bad)).unwrap_err().starts_with("invalid root certificate"), "{bad}");
        }
        assert!(config(None).is_ok());
    }

    #[test]
    fn the_end_point_s_hash_is_that_of_the_certificate_s_signature() {
        let certificate = |oid: &[u8]| {
            let mut algorithm = vec![0x06, u8::try_from(oid.len()).unwrap()];
            algorithm.extend(oid);
            let mut inner = vec![0x30, 0x00, 0x30, u8::try_from(algorithm.len()).unwrap()];
            inner.extend(&algorithm);
            let mut outer = vec![0x30, 0x81, u8::try_from(inner.len()).unwrap()];
            outer.extend(&inner);
            outer
        };
        let rsa = |last: u8| certificate(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, last]);
        for (last, length) in [(5, 32), (11, 32), (12, 48), (13, 64)] {
            assert_eq!(end_point(&rsa(last)).unwrap().len(), length);
        }
        assert_eq!(end_point(&certificate(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3])).unwrap().len(), 48);
        assert_eq!(end_point(&certificate(&[0x2b, 0x65, 0x70])), None, "Ed25519");
        assert_eq!(end_point(&[0x30, 0x84, 0xff]), None);
    }
}
