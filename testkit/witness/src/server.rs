//! HTTP/1.1 over TLS, a thread for each connection.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tempfile::TempDir;

use crate::judge::{self, Answer};
use crate::{Fault, Request, Shared};

/// The longest request that is read, in bytes.
const MOST_BYTES: usize = 64 * 1024;

/// How long a connection may wait for its client.
const PATIENCE: Duration = Duration::from_secs(120);

/// The listener. Dropping it closes it; connections end with their clients.
pub(crate) struct Server {
    address: SocketAddr,
    folder: TempDir,
    ends: Arc<AtomicBool>,
    accepts: Option<thread::JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start(shared: Arc<Shared>) -> Self {
        let folder = tempfile::Builder::new().prefix("witness.").tempdir();
        let folder = folder.expect("a folder");
        let (tls, ca) = tls();
        std::fs::write(folder.path().join("ca.pem"), ca).expect("written");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("an address");
        let ends = Arc::new(AtomicBool::new(false));
        let (is_over, tls) = (Arc::clone(&ends), Arc::new(tls));
        let accepts = thread::spawn(move || {
            for stream in listener.incoming() {
                if is_over.load(Ordering::Relaxed) {
                    return;
                }
                let (Ok(stream), shared, tls) = (stream, Arc::clone(&shared), Arc::clone(&tls))
                else {
                    continue;
                };
                // A client that leaves early is no fault.
                thread::spawn(move || drop(attend(&shared, tls, stream)));
            }
        });
        Self {
            address,
            folder,
            ends,
            accepts: Some(accepts),
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn ca_path(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        // Wakes the listener.
        drop(TcpStream::connect(self.address));
        if let Some(accepts) = self.accepts.take() {
            let _ = accepts.join();
        }
    }
}

/// A certificate for 127.0.0.1 and its authority's, as PEM.
fn tls() -> (ServerConfig, String) {
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key"));
    let issuer = issuer.expect("an authority");
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("a name");
    let certificate = params.signed_by(&key, &*issuer).expect("a certificate");
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("TLS 1.3")
        .with_no_client_auth();
    let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    let config = builder.with_single_cert(vec![certificate.der().clone()], key);
    (config.expect("they belong together"), issuer.pem())
}

/// Serves one connection to its end.
fn attend(shared: &Shared, tls: Arc<ServerConfig>, stream: TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    let session = ServerConnection::new(tls).map_err(io::Error::other)?;
    let mut stream = StreamOwned::new(session, stream);
    while let Some((target, body)) = read_request(&mut stream)? {
        let fault = shared.state().fault.clone();
        let (answer, mut request) = match (&target[..], &fault) {
            (_, Some(Fault::Status(status))) => (Answer::new(*status, Vec::new()), None),
            (_, Some(Fault::Answer(status, body))) => (Answer::new(*status, body.clone()), None),
            ("POST /submit/add-checkpoint", _) => judge::answer(shared, &body),
            _ => (Answer::new(404, Vec::new()), None),
        };
        let silent = matches!(fault, Some(Fault::Hang | Fault::Close));
        let status = (!silent).then_some(answer.status);
        let request = request.get_or_insert_with(Request::unread);
        request.status = status;
        shared.note(request.clone());
        match fault {
            Some(Fault::Hang) => {
                // Until the client leaves.
                while stream.read(&mut [0; 1024])? > 0 {}
                return Ok(());
            }
            Some(Fault::Close) => return Ok(()),
            Some(Fault::Endless) => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
                loop {
                    stream.write_all(b"10\r\n0123456789abcde\n\r\n")?;
                }
            }
            Some(Fault::Slow(pause)) => {
                for byte in written(&answer) {
                    stream.write_all(&[byte])?;
                    stream.flush()?;
                    thread::sleep(pause);
                }
            }
            _ => stream.write_all(&written(&answer))?,
        }
        stream.flush()?;
    }
    Ok(())
}

impl Request {
    /// One that nobody read.
    fn unread() -> Self {
        Self {
            old: 0,
            proof: 0,
            origin: String::new(),
            size: 0,
            signatures: 0,
            status: None,
        }
    }
}

fn written(answer: &Answer) -> Vec<u8> {
    let Answer {
        status,
        content_type,
        body,
    } = answer;
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} Answer\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

/// Method and target, and the body; `None` where the client left.
fn read_request(stream: &mut impl Read) -> io::Result<Option<(String, Vec<u8>)>> {
    let mut read = Vec::new();
    let end = loop {
        if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        if !read_more(stream, &mut read)? {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(&read[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let first = lines.next().unwrap_or_default();
    let target = first.rsplit_once(' ').map_or(first, |(target, _)| target);
    let length = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse().ok())
        .unwrap_or(0);
    let mut body = read.split_off(end + 4);
    while body.len() < length {
        if !read_more(stream, &mut body)? {
            return Ok(None);
        }
    }
    Ok(Some((target.to_owned(), body)))
}

fn read_more(stream: &mut impl Read, read: &mut Vec<u8>) -> io::Result<bool> {
    let mut part = [0; 4096];
    let arrived = stream.read(&mut part)?;
    read.extend_from_slice(&part[..arrived]);
    if read.len() > MOST_BYTES {
        return Err(io::Error::other("too long"));
    }
    Ok(arrived > 0)
}
