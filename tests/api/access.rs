//! Clients of other hosts: TLS, access tokens, certificates and roles.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use muster::api::Api;
use muster::api::access::AccessList;
use muster::api::access::AccessRule;
use muster::api::access::GUESSES;
use muster::api::access::Proof;
use muster::api::access::Role;
use muster::control::read_model::ReadModel;
use muster::core::fingerprint::Fingerprint;
use muster::http::client::ApiClient;
use muster::http::client::ApiCredentials;
use muster::http::client::ApiLocation;
use muster::http::client::ClientError;
use muster::http::connections::Listener;
use muster::http::tls::TlsFiles;
use muster::store::MemoryStore;
use muster::store::SharedStore;
use rcgen::BasicConstraints;
use rcgen::CertificateParams;
use rcgen::CertifiedIssuer;
use rcgen::IsCa;
use rcgen::KeyPair;
use secrecy::SecretString;
use serde_json::Value;
use serde_json::json;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::supervision;
use crate::control::Folder;
use crate::control::context;
use crate::control::found;

/// A CA and what it has signed.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Signs a certificate and returns its fingerprint.
    fn sign(&self, name: &str, has_expired: bool) -> Fingerprint {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        if has_expired {
            params.not_after = rcgen::date_time_ymd(2024, 1, 1);
        }
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        fs::write(self.path(&format!("{name}.pem")), certificate.pem()).unwrap();
        fs::write(self.path(&format!("{name}.key")), key.serialize_pem()).unwrap();
        Fingerprint::of(certificate.der())
    }

    fn credentials(&self) -> ApiCredentials {
        ApiCredentials { ca_file: Some(self.path("ca.pem")), ..ApiCredentials::default() }
    }

    fn with_token(&self, token: &str) -> ApiCredentials {
        ApiCredentials { token: Some(SecretString::from(token)), ..self.credentials() }
    }

    fn with_certificate(&self, name: &str) -> ApiCredentials {
        let (cert_file, key_file) = (Some(self.path(&format!("{name}.pem"))), Some(self.path(&format!("{name}.key"))));
        ApiCredentials { cert_file, key_file, ..self.credentials() }
    }
}

/// An API for other hosts.
struct Served {
    address: SocketAddr,
    access: watch::Sender<Arc<AccessList>>,
    stop: CancellationToken,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Served {
    async fn start(authority: &Authority, server: &str, rules: Vec<AccessRule>) -> Self {
        let store: SharedStore = Arc::new(MemoryStore::new());
        found(&store, &[]).await;
        let cluster = context(&store, &Arc::new(Folder::new()));
        let (model, view) = ReadModel::new(&cluster.store, &cluster.keys, cluster.clock);
        let files = TlsFiles {
            certificate: authority.path(&format!("{server}.pem")),
            key: authority.path(&format!("{server}.key")),
            client_ca: Some(authority.path("ca.pem")),
        };
        let (_, tls) = watch::channel(files.read().unwrap());
        let (access, list) = watch::channel(Arc::new(AccessList(rules)));
        let stop = CancellationToken::new();
        let api = Arc::new(Api::new(cluster, view.clone(), supervision(), list, stop.clone()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            tokio::select! {
                () = model.run() => {}
                () = muster::api::serve(Listener::Tls(listener, tls), api) => {}
            }
        });
        assert!(view.until(std::time::Duration::from_secs(5), |published| published.is_read).await);
        Self { address, access, stop }
    }

    fn client(&self, credentials: &ApiCredentials) -> ApiClient {
        let url = format!("https://localhost:{}", self.address.port());
        ApiClient::new(&ApiLocation::Url(url), credentials).unwrap()
    }

    async fn get(&self, credentials: &ApiCredentials, path: &str) -> Result<Value, ClientError> {
        self.client(credentials).get(path, &[]).await
    }
}

fn rule(name: &str, role: Role, proof: Proof) -> AccessRule {
    AccessRule { name: name.to_owned(), role, proof }
}

fn token(text: &str) -> Proof {
    Proof::Token(Fingerprint::of(text.as_bytes()))
}

fn status(result: Result<Value, ClientError>) -> u16 {
    match result {
        Err(ClientError::Refused { status, .. }) => status,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_client_has_the_role_of_its_token_until_the_token_is_taken_away() {
    let authority = Authority::new();
    authority.sign("server", false);
    let rules = vec![rule("ci", Role::Read, token("t1")), rule("alice", Role::Operate, token("t2"))];
    let served = Served::start(&authority, "server", rules).await;
    let (reader, operator) = (authority.with_token("t1"), authority.with_token("t2"));
    let session = served.get(&reader, "/api/v1/session").await.unwrap();
    assert_eq!(session["role"], "read", "{session}");
    assert_eq!(session["name"], "ci@127.0.0.1 (API)", "{session}");
    served.get(&reader, "/api/v1/units").await.unwrap();
    served.get(&reader, "/metrics").await.unwrap_err();
    let submission = json!({"verb": "start", "units": ["a.service"]});
    let begin = async |credentials| served.client(credentials).post::<Value>("/api/v1/operations", &submission).await;
    assert_eq!(status(begin(&reader).await), 403);
    assert_eq!(status(begin(&operator).await), 404, "the unit does not exist");
    let secrets = "/api/v1/records?prefix=/muster/.secrets/default/";
    assert_eq!(status(served.get(&reader, secrets).await), 403, "the values of secrets");
    served.get(&operator, secrets).await.unwrap();
    served.access.send_replace(Arc::default());
    assert_eq!(status(served.get(&reader, "/api/v1/units").await), 401);
}

#[tokio::test]
async fn a_client_without_proof_is_not_let_in_and_one_that_guesses_is_throttled() {
    let authority = Authority::new();
    authority.sign("server", false);
    let served = Served::start(&authority, "server", vec![rule("ci", Role::Read, token("right"))]).await;
    for path in ["/api/v1/units", "/metrics", "/fleet/v1/units", "/nowhere"] {
        assert_eq!(status(served.get(&authority.credentials(), path).await), 401, "{path}");
    }
    for guess in 0..GUESSES {
        let guess = authority.with_token(&format!("guess{guess}"));
        assert_eq!(status(served.get(&guess, "/api/v1/units").await), 401);
    }
    // From then on the right token is refused, too: the answer tells a guesser nothing.
    assert_eq!(status(served.get(&authority.with_token("right"), "/api/v1/units").await), 429);
}

#[tokio::test]
async fn a_certificate_of_the_ca_needs_its_rule_and_its_time() {
    let authority = Authority::new();
    let known = authority.sign("known", false);
    let expired = authority.sign("expired", true);
    authority.sign("unknown", false);
    authority.sign("server", false);
    let rules = vec![
        rule("alice", Role::Operate, Proof::Certificate(known)),
        rule("bob", Role::Operate, Proof::Certificate(expired)),
    ];
    let served = Served::start(&authority, "server", rules).await;
    let session = served.get(&authority.with_certificate("known"), "/api/v1/session").await.unwrap();
    assert_eq!(session["name"], "alice@127.0.0.1 (API)", "{session}");
    assert_eq!(status(served.get(&authority.with_certificate("unknown"), "/api/v1/session").await), 401);
    let refused = served.get(&authority.with_certificate("expired"), "/api/v1/session").await.unwrap_err();
    assert!(matches!(&refused, ClientError::Unavailable(why) if why.to_lowercase().contains("expired")), "{refused:?}");
}

#[tokio::test]
async fn a_controller_with_the_certificate_of_another_or_an_old_one_gets_no_token() {
    let authority = Authority::new();
    authority.sign("server", true);
    let served = Served::start(&authority, "server", vec![rule("ci", Role::Read, token("t"))]).await;
    let refused = served.get(&authority.with_token("t"), "/api/v1/units").await.unwrap_err();
    assert!(matches!(&refused, ClientError::Unavailable(why) if why.to_lowercase().contains("expired")), "{refused:?}");
    let stranger = Authority::new();
    let refused = served.get(&stranger.with_token("t"), "/api/v1/units").await.unwrap_err();
    assert!(
        matches!(&refused, ClientError::Unavailable(why) if why.contains("UnknownIssuer") || why.contains("certificate")),
        "{refused:?}"
    );
}

#[test]
fn files_that_are_no_certificates_are_named() {
    let authority = Authority::new();
    authority.sign("server", false);
    let files =
        TlsFiles { certificate: authority.path("server.pem"), key: authority.path("server.key"), client_ca: None };
    files.read().unwrap();
    let wrong = |files: TlsFiles| files.read().unwrap_err().to_string();
    let error = wrong(TlsFiles { key: authority.path("server.pem"), ..files.clone() });
    assert!(error.ends_with("server.pem: it has no private key"), "{error}");
    let error = wrong(TlsFiles { certificate: authority.path("server.key"), ..files.clone() });
    assert!(error.ends_with("server.key: it has no certificate"), "{error}");
    let error = wrong(TlsFiles { certificate: authority.path("gone.pem"), ..files });
    assert!(error.contains("No such file"), "{error}");
}
