//! A client that sends exactly the given bytes and returns exactly what came.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use qseed_entropy_service::{EntropyService, Options};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// Long enough for any machine; a test that waits it out fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// How long "nothing comes" is watched.
const GLANCE: Duration = Duration::from_millis(100);

pub(crate) const JSON_POST: &str = "Content-Type: application/json\r\n";

/// A service with these options.
pub(crate) fn start(options: Options) -> EntropyService {
    EntropyService::spawn(options).expect("a service on loopback")
}

/// A TCP or TLS connection.
trait Stream: Read + Write {
    fn tcp(&self) -> &TcpStream;
}

impl Stream for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl Stream for StreamOwned<ClientConnection, TcpStream> {
    fn tcp(&self) -> &TcpStream {
        &self.sock
    }
}

pub(crate) struct Client {
    stream: Box<dyn Stream>,
    /// What came and was not asked for yet.
    ahead: Vec<u8>,
}

/// An answer as it came.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) version: String,
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(service: &EntropyService) -> Self {
        Self::connect_to(service.address()).expect("the service listens")
    }

    pub(crate) fn connect_to(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self {
            stream: Box::new(stream),
            ahead: Vec::new(),
        })
    }

    /// Connects with TLS; an error where the handshake fails.
    pub(crate) fn connect_tls(
        service: &EntropyService,
        config: &Arc<ClientConfig>,
    ) -> io::Result<Self> {
        let name = "127.0.0.1".try_into().expect("an address is a server name");
        let connection =
            ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
        let stream = TcpStream::connect(service.address())?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut stream = StreamOwned::new(connection, stream);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(Self {
            stream: Box::new(stream),
            ahead: Vec::new(),
        })
    }

    pub(crate) fn send(&mut self, request: &str) {
        self.stream
            .write_all(request.as_bytes())
            .expect("the service reads");
        self.stream.flush().expect("the service reads");
    }

    pub(crate) fn send_post(&mut self, path: &str, headers: &str, body: &str) {
        let length = body.len();
        let head = format!("POST {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\n");
        self.send(&format!("{head}{headers}\r\n{body}"));
    }

    /// Asks Qrypt's current interface for entropy.
    pub(crate) fn send_ask(&mut self, size: u32, count: u32) {
        let body = format!("{{\"block_size\":{size},\"block_count\":{count}}}");
        self.send_post("/api/v1/entropy", JSON_POST, &body);
    }

    pub(crate) fn ask(&mut self, size: u32, count: u32) -> Answer {
        self.send_ask(size, count);
        self.answer()
    }

    pub(crate) fn get(&mut self, path: &str) -> Answer {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n"));
        self.answer()
    }

    pub(crate) fn answer(&mut self) -> Answer {
        let mut answer = self.head();
        answer.body = if answer.header("transfer-encoding") == Some("chunked") {
            self.chunks()
        } else if let Some(length) = answer.header("content-length") {
            let length = length.parse().expect("a length");
            self.take(length).expect("the whole body")
        } else if answer.status == 204 {
            Vec::new()
        } else {
            self.rest().0
        };
        answer
    }

    /// Reads the head alone.
    pub(crate) fn head(&mut self) -> Answer {
        let head = self.take_until(b"\r\n\r\n");
        let head = String::from_utf8(head).expect("text");
        let mut lines = head.lines();
        let (version, rest) = lines
            .next()
            .and_then(|line| line.split_once(' '))
            .expect("a status");
        let status = rest[..3].parse().expect("a status");
        let headers = lines.filter_map(|line| line.split_once(": "));
        Answer {
            version: version.to_owned(),
            status,
            headers: headers
                .map(|(n, v)| (n.to_ascii_lowercase(), v.to_owned()))
                .collect(),
            body: Vec::new(),
        }
    }

    fn chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let line = self.take_until(b"\r\n");
            let line = std::str::from_utf8(&line[..line.len() - 2]).expect("text");
            let length = usize::from_str_radix(line, 16).expect("a chunk's length");
            body.extend(self.take(length).expect("a chunk"));
            self.take(2).expect("a chunk's end");
            if length == 0 {
                return body;
            }
        }
    }

    fn take_until(&mut self, end: &[u8]) -> Vec<u8> {
        loop {
            let found = self
                .ahead
                .windows(end.len())
                .position(|window| window == end);
            if let Some(position) = found {
                return self.ahead.drain(..position + end.len()).collect();
            }
            self.read_more().expect("more of the answer");
        }
    }

    /// So many bytes, or the error that came before them.
    pub(crate) fn take(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.ahead.len() < length {
            self.read_more()?;
        }
        Ok(self.ahead.drain(..length).collect())
    }

    fn read_more(&mut self) -> io::Result<()> {
        let mut buffer = vec![0; 64 * 1024];
        let count = self.stream.read(&mut buffer)?;
        if count == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.ahead.extend(&buffer[..count]);
        Ok(())
    }

    /// Everything up to the connection's end, and how it ended: `None` for an orderly end.
    pub(crate) fn rest(&mut self) -> (Vec<u8>, Option<ErrorKind>) {
        loop {
            match self.read_more() {
                Ok(()) => {}
                Err(error) => {
                    let orderly =
                        error.kind() == ErrorKind::UnexpectedEof && error.get_ref().is_none();
                    let end = (!orderly).then_some(error.kind());
                    return (std::mem::take(&mut self.ahead), end);
                }
            }
        }
    }

    /// Whether the connection stays open and silent for a moment.
    pub(crate) fn is_silent(&mut self) -> bool {
        let tcp = self.stream.tcp();
        tcp.set_read_timeout(Some(GLANCE)).expect("a time-out");
        let read = self.read_more();
        let tcp = self.stream.tcp();
        tcp.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        self.ahead.is_empty() && read.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }

    /// Whether the connection ends in order, without another byte.
    pub(crate) fn is_closed(&mut self) -> bool {
        self.rest() == (Vec::new(), None)
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    /// The decoded blocks of a strictly valid answer.
    pub(crate) fn blocks(&self) -> Vec<Vec<u8>> {
        let json = self.json();
        let array = json.get("entropy").or_else(|| json.get("random"));
        let array = array
            .and_then(serde_json::Value::as_array)
            .expect("an array");
        let text = |value: &serde_json::Value| value.as_str().expect("a string").to_owned();
        array
            .iter()
            .map(|value| STANDARD.decode(text(value)).expect("base64"))
            .collect()
    }
}

/// A TLS client's configuration that trusts the service's CA.
pub(crate) fn trusting(service: &EntropyService) -> Arc<ClientConfig> {
    configure(service, false)
}

/// The same, with the certificate that the service made for clients.
pub(crate) fn with_client_certificate(service: &EntropyService) -> Arc<ClientConfig> {
    configure(service, true)
}

fn configure(service: &EntropyService, identity: bool) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let ca = service.ca_path().expect("with TLS");
    roots
        .add(CertificateDer::from_pem_file(ca).expect("a certificate"))
        .expect("a CA");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots);
    if !identity {
        return Arc::new(builder.with_no_client_auth());
    }
    let chain = service.client_certificate_path().expect("with TLS");
    let chain = CertificateDer::from_pem_file(chain).expect("a certificate");
    let key = service.client_key_path().expect("with TLS");
    let key = PrivateKeyDer::from_pem_file(key).expect("a key");
    Arc::new(
        builder
            .with_client_auth_cert(vec![chain], key)
            .expect("a pair"),
    )
}
