//! A broker that wants TLS, a certificate or a login, as brokers in production do.
//!
//! tansu speaks no TLS and takes any password with PLAIN, so a front stands before one of one's own: it ends TLS, holds the SASL
//! handshake, and passes on what follows. Clients are sent to it, since tansu advertises its port. What it wants can be changed
//! while clients try.

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use rcgen::{BasicConstraints, Certificate, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use sha2::{Digest as _, Sha256, Sha512};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use super::services;

/// What the broker wants of its clients.
#[derive(Clone, Default)]
pub struct Wants {
    /// TLS, with this certificate.
    pub tls: Option<Arc<ServerConfig>>,
    /// A login.
    pub login: Option<Login>,
}

/// The login that is right.
#[derive(Clone, Copy)]
pub struct Login {
    /// The one mechanism that is offered.
    pub mechanism: &'static str,
    /// Who may.
    pub username: &'static str,
    /// With what.
    pub password: &'static str,
}

/// The front and the broker behind it; both end when it is dropped.
pub struct Front {
    wants: Arc<Mutex<Wants>>,
    port: u16,
    broker: Child,
    _home: TempDir,
}

impl Front {
    /// A broker that wants this.
    pub async fn start(wants: Wants) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let (broker, behind, home) = start_broker(port);
        let wants = Arc::new(Mutex::new(wants));
        let seen = Arc::clone(&wants);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let wants = seen.lock().expect("nobody panicked with it").clone();
                // A client that is refused hangs up or is hung up on; it knows why.
                tokio::spawn(async move { receive(client, wants, behind).await });
            }
        });
        Self { wants, port, broker, _home: home }
    }

    /// Wants something else from the next connection on.
    pub fn want(&self, wants: Wants) {
        *self.wants.lock().expect("nobody panicked with it") = wants;
    }

    /// Where clients begin.
    pub fn brokers(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        let _ = self.broker.kill();
        let _ = self.broker.wait();
    }
}

fn start_broker(advertised: u16) -> (Child, SocketAddr, TempDir) {
    let home = tempfile::tempdir().expect("a folder");
    let free = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let address = free.local_addr().expect("bound");
    drop(free);
    let log = File::create(home.path().join("log")).expect("a file");
    let child = Command::new(services::tansu())
        .args(["--storage-engine", "sqlite://tansu.db", "--listener-url", &format!("tcp://{address}")])
        .args(["--advertised-listener-url", &format!("tcp://127.0.0.1:{advertised}")])
        .current_dir(home.path())
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a file"))
        .stderr(log)
        .spawn()
        .expect("the broker starts");
    let deadline = Instant::now() + Duration::from_secs(30);
    while std::net::TcpStream::connect(address).is_err() {
        assert!(Instant::now() < deadline, "the broker does not listen");
        std::thread::sleep(Duration::from_millis(50));
    }
    (child, address, home)
}

async fn receive(client: TcpStream, wants: Wants, behind: SocketAddr) -> io::Result<()> {
    let broker = TcpStream::connect(behind).await?;
    match wants.tls {
        Some(tls) => pass(TlsAcceptor::from(tls).accept(client).await?, wants.login, broker).await,
        None => pass(client, wants.login, broker).await,
    }
}

async fn pass(mut client: impl AsyncRead + AsyncWrite + Unpin, login: Option<Login>, mut broker: TcpStream) -> io::Result<()> {
    if let Some(login) = login {
        log_in(&mut client, login, &mut broker).await?;
    }
    copy_bidirectional(&mut client, &mut broker).await.map(drop)
}

const SASL_HANDSHAKE: i16 = 17;
const API_VERSIONS: i16 = 18;
const SASL_AUTHENTICATE: i16 = 36;
const UNSUPPORTED_SASL_MECHANISM: i16 = 33;
const SASL_AUTHENTICATION_FAILED: i16 = 58;

/// Kafka's handshake, as a broker holds it. Returns when the client is let in.
async fn log_in(client: &mut (impl AsyncRead + AsyncWrite + Unpin), login: Login, broker: &mut TcpStream) -> io::Result<()> {
    let mut talk = Talk::new(login);
    loop {
        let request = frame(client).await?;
        let (key, version) = (i16_at(&request, 0)?, i16_at(&request, 2)?);
        if key == API_VERSIONS {
            send(broker, &request).await?;
            let answer = frame(broker).await?;
            send(client, &answer).await?;
            continue;
        }
        let name = usize::try_from(i16_at(&request, 8)?).unwrap_or(0);
        let body = request.get(10 + name..).ok_or_else(broken)?;
        let mut answer = request[4..8].to_vec();
        match key {
            SASL_HANDSHAKE => {
                let fits = body.get(2..) == Some(login.mechanism.as_bytes());
                answer.extend(if fits { 0 } else { UNSUPPORTED_SASL_MECHANISM }.to_be_bytes());
                answer.extend(1i32.to_be_bytes());
                put_string(&mut answer, login.mechanism);
                send(client, &answer).await?;
            }
            SASL_AUTHENTICATE => {
                let step = talk.step(body.get(4..).ok_or_else(broken)?);
                let (code, message, said) = match &step {
                    Step::Say(said) | Step::In(said) => (0, "", said.as_slice()),
                    Step::Out => (SASL_AUTHENTICATION_FAILED, "Authentication failed: invalid credentials", [].as_slice()),
                };
                answer.extend(code.to_be_bytes());
                put_string(&mut answer, message);
                answer.extend(i32::try_from(said.len()).map_err(|_| broken())?.to_be_bytes());
                answer.extend(said);
                if version > 0 {
                    answer.extend(0i64.to_be_bytes());
                }
                send(client, &answer).await?;
                match step {
                    Step::Say(_) => {}
                    Step::In(_) => return Ok(()),
                    Step::Out => return Err(broken()),
                }
            }
            // Nobody is served before it is known who it is.
            _ => return Err(broken()),
        }
    }
}

fn broken() -> io::Error {
    io::Error::other("not as the protocol has it, or refused")
}

fn i16_at(bytes: &[u8], at: usize) -> io::Result<i16> {
    bytes.get(at..at + 2).and_then(|two| two.try_into().ok()).map(i16::from_be_bytes).ok_or_else(broken)
}

fn put_string(into: &mut Vec<u8>, text: &str) {
    into.extend(i16::try_from(text.len()).expect("short").to_be_bytes());
    into.extend(text.as_bytes());
}

async fn frame(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let length = from.read_u32().await?;
    if length > 1 << 20 {
        return Err(broken());
    }
    let mut bytes = vec![0; length as usize];
    from.read_exact(&mut bytes).await?;
    Ok(bytes)
}

async fn send(to: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
    to.write_u32(u32::try_from(bytes.len()).map_err(|_| broken())?).await?;
    to.write_all(bytes).await?;
    to.flush().await
}

/// What the server does next.
enum Step {
    Say(Vec<u8>),
    In(Vec<u8>),
    Out,
}

const SALT: &[u8] = b"salt of the tests";
const ITERATIONS: u32 = 4_096;

/// The server's half of PLAIN (RFC 4616) or SCRAM (RFC 5802).
struct Talk {
    login: Login,
    /// The client's first words and the answer to them.
    first: Option<(String, String)>,
}

impl Talk {
    fn new(login: Login) -> Self {
        Self { login, first: None }
    }

    fn step(&mut self, said: &[u8]) -> Step {
        let Ok(said) = std::str::from_utf8(said) else { return Step::Out };
        if self.login.mechanism == "PLAIN" {
            let right = format!("\0{}\0{}", self.login.username, self.login.password);
            return if said == right { Step::In(Vec::new()) } else { Step::Out };
        }
        match self.first.take() {
            None => self.begin(said).map_or(Step::Out, |answer| Step::Say(answer.into_bytes())),
            Some((first, answer)) => self.prove(said, &first, &answer).map_or(Step::Out, |proof| Step::In(proof.into_bytes())),
        }
    }

    fn begin(&mut self, said: &str) -> Option<String> {
        let bare = said.strip_prefix("n,,")?;
        let (name, nonce) = bare.split_once(',')?;
        if name != format!("n={}", self.login.username) {
            return None;
        }
        let answer = format!("{nonce}weir,s={},i={ITERATIONS}", STANDARD.encode(SALT));
        self.first = Some((bare.to_owned(), answer.clone()));
        Some(answer)
    }

    /// The client's proof that it knows the password, answered by the server's own.
    fn prove(&self, said: &str, first: &str, answer: &str) -> Option<String> {
        let (without_proof, proof) = said.split_once(",p=")?;
        let nonce = answer.split(',').next()?;
        if without_proof != format!("c=biws,{nonce}") {
            return None;
        }
        let all = format!("{first},{answer},{without_proof}");
        let salted = self.salted();
        let client_key = self.mac(&salted, b"Client Key");
        let signature = self.mac(&self.hash(&client_key), all.as_bytes());
        let wanted: Vec<u8> = client_key.iter().zip(&signature).map(|(a, b)| a ^ b).collect();
        let server = self.mac(&self.mac(&salted, b"Server Key"), all.as_bytes());
        (STANDARD.decode(proof).ok()? == wanted).then(|| format!("v={}", STANDARD.encode(server)))
    }

    /// `Hi` of RFC 5802.
    fn salted(&self) -> Vec<u8> {
        let mut round = self.mac(self.login.password.as_bytes(), &[SALT, &[0, 0, 0, 1]].concat());
        let mut sum = round.clone();
        for _ in 1..ITERATIONS {
            round = self.mac(self.login.password.as_bytes(), &round);
            sum.iter_mut().zip(&round).for_each(|(sum, byte)| *sum ^= byte);
        }
        sum
    }

    fn mac(&self, key: &[u8], data: &[u8]) -> Vec<u8> {
        if self.login.mechanism == "SCRAM-SHA-256" {
            Hmac::<Sha256>::new_from_slice(key).expect("any length").chain_update(data).finalize().into_bytes().to_vec()
        } else {
            Hmac::<Sha512>::new_from_slice(key).expect("any length").chain_update(data).finalize().into_bytes().to_vec()
        }
    }

    fn hash(&self, data: &[u8]) -> Vec<u8> {
        if self.login.mechanism == "SCRAM-SHA-256" { Sha256::digest(data).to_vec() } else { Sha512::digest(data).to_vec() }
    }
}

/// Somebody who signs certificates.
pub struct Authority {
    certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    /// A new one, which nobody knows.
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("signed");
        Self { certificate, issuer: Issuer::new(params, key), folder: tempfile::tempdir().expect("a folder") }
    }

    /// Its certificate, in a file.
    pub fn file(&self) -> String {
        self.write("ca.pem", &self.certificate.pem())
    }

    /// A certificate for this name and its key, in files.
    pub fn issue(&self, name: &str) -> (String, String) {
        let (certificate, key) = self.sign(name);
        (self.write("certificate.pem", &certificate.pem()), self.write("key.pem", &key.serialize_pem()))
    }

    /// TLS as the broker called `name` speaks it; with `clients`, only to clients with a certificate of that authority's.
    pub fn tls(&self, name: &str, clients: Option<&Self>) -> Arc<ServerConfig> {
        let (certificate, key) = self.sign(name);
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
        let builder = builder.expect("versions that the provider has");
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(authority.certificate.der().clone()).expect("a certificate");
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().expect("a verifier"))
            }
        };
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        Arc::new(builder.with_single_cert(vec![certificate.der().clone()], key).expect("they belong together"))
    }

    fn sign(&self, name: &str) -> (Certificate, KeyPair) {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        (params.signed_by(&key, &self.issuer).expect("signed"), key)
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path: PathBuf = Path::new(self.folder.path()).join(name);
        std::fs::write(&path, text).expect("written");
        path.display().to_string()
    }
}
