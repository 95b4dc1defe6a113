//! TLS of a service: its certificate, and the certificates of clients that a CA has signed.

use std::fs::File;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::pki_types::pem;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::server::WebPkiClientVerifier;

/// The files of a service with TLS, in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, with those that lead to its CA.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The CA of the certificates of clients; without one, no client is asked for a certificate.
    pub client_ca: Option<PathBuf>,
}

/// The files do not make a service with TLS. Nothing was served.
#[derive(Debug, thiserror::Error)]
#[error("{}: {why}", path.display())]
pub struct BadTls {
    path: PathBuf,
    why: String,
}

impl TlsFiles {
    /// Reads the files.
    pub fn read(&self) -> Result<Arc<ServerConfig>, BadTls> {
        let chain = certificates(&self.certificate)?;
        let key =
            PrivateKeyDer::from_pem_reader(open(&self.key)?).map_err(|error| bad(&self.key, &pem_error(&error)))?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let versions = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
        let builder = versions.map_err(|error| bad(&self.certificate, &error))?;
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates(path)? {
                    roots.add(certificate).map_err(|error| bad(path, &error))?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
                // A client without a certificate may have a token.
                let verifier = verifier.allow_unauthenticated().build().map_err(|error| bad(path, &error))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut config = builder.with_single_cert(chain, key).map_err(|error| bad(&self.certificate, &error))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, BadTls> {
    let read = CertificateDer::pem_reader_iter(open(path)?).collect::<Result<Vec<_>, _>>();
    let found = read.map_err(|error| bad(path, &pem_error(&error)))?;
    if found.is_empty() { Err(bad(path, &"it has no certificate")) } else { Ok(found) }
}

fn open(path: &Path) -> Result<io::BufReader<File>, BadTls> {
    File::open(path).map(io::BufReader::new).map_err(|error| bad(path, &error))
}

fn bad(path: &Path, why: &impl ToString) -> BadTls {
    BadTls { path: path.to_owned(), why: why.to_string() }
}

/// The error of the library quotes what it could not read.
fn pem_error(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::NoItemsFound => "it has no private key",
        _ => "it is not PEM",
    }
}
