//! The handle of a running service.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::admin;
use crate::authority::Certificate;
use crate::control::{Command, Control};
use crate::error::StartError;
use crate::fault::{Fault, FaultOrder};
use crate::log::{Connection, Counts, Log, Request, Served};
use crate::options::{Options, RateLimit};
use crate::server::Server;
use crate::state::Shared;
use crate::tls::Tls;

/// A running service. Dropping it closes its connections, ends its thread and, without
/// [`Options::state`], removes its files.
pub struct EntropyService {
    control: Control,
    places: Places,
    thread: Option<JoinHandle<()>>,
}

/// Where a started service is to be found.
#[derive(Clone, Copy)]
struct Places {
    service: SocketAddr,
    admin: Option<SocketAddr>,
}

/// How the new thread reports on its start.
type Report = Box<dyn FnOnce(Result<Places, StartError>) + Send>;

impl EntropyService {
    /// Starts a service on a thread of its own and waits until it accepts connections.
    ///
    /// # Errors
    /// [`StartError`] where the address, the folder or the TLS options do not work.
    pub fn spawn(options: Options) -> Result<Self, StartError> {
        let (report, reported) = std::sync::mpsc::sync_channel(1);
        let (control, thread) = begin(options, Box::new(move |result| drop(report.send(result))))?;
        Self::begun(control, thread, reported.recv().ok())
    }

    /// Like [`spawn`](Self::spawn), without blocking the caller's event loop.
    ///
    /// # Errors
    /// Those of [`spawn`](Self::spawn).
    pub async fn start(options: Options) -> Result<Self, StartError> {
        let (report, reported) = tokio::sync::oneshot::channel();
        let (control, thread) = begin(options, Box::new(move |result| drop(report.send(result))))?;
        Self::begun(control, thread, reported.await.ok())
    }

    fn begun(
        control: Control,
        thread: JoinHandle<()>,
        reported: Option<Result<Places, StartError>>,
    ) -> Result<Self, StartError> {
        let gone = || Err(StartError::Thread(io::ErrorKind::BrokenPipe.into()));
        let places = reported.unwrap_or_else(gone)?;
        Ok(Self {
            control,
            places,
            thread: Some(thread),
        })
    }

    fn shared(&self) -> &Shared {
        &self.control.shared
    }

    // ---- where it is

    /// `http://` or `https://` with address and port, without a path: the `url` of Qrypt's types.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.shared().tls.is_some() {
            "https"
        } else {
            "http"
        };
        format!("{scheme}://{}", self.places.service)
    }

    /// The `url` of the QRNG Open API: with its base path.
    #[must_use]
    pub fn open_api_url(&self) -> String {
        format!("{}{}", self.url(), self.shared().base)
    }

    /// Address and port. They stay the same through [`stop`](Self::stop) and
    /// [`restart`](Self::restart).
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.places.service
    }

    /// The administration interface's URL, if it was asked for.
    #[must_use]
    pub fn admin_url(&self) -> Option<String> {
        self.places.admin.map(|address| format!("http://{address}"))
    }

    // ---- certificates

    /// The CA's certificate as PEM, with TLS.
    #[must_use]
    pub fn ca_pem(&self) -> Option<String> {
        self.shared().tls.as_ref().map(|tls| tls.authority.pem())
    }

    /// The file with the CA's certificate, with TLS.
    #[must_use]
    pub fn ca_path(&self) -> Option<PathBuf> {
        self.file("ca.pem")
    }

    /// The file with a client's certificate by the CA, with TLS.
    #[must_use]
    pub fn client_certificate_path(&self) -> Option<PathBuf> {
        self.file("client.pem")
    }

    /// The file with the key for that, readable by its owner only.
    #[must_use]
    pub fn client_key_path(&self) -> Option<PathBuf> {
        self.file("client.key")
    }

    fn file(&self, name: &str) -> Option<PathBuf> {
        self.shared().tls.as_ref().map(|tls| tls.folder.file(name))
    }

    /// SHA-256 over the `SubjectPublicKeyInfo` of the service's certificates, with TLS; it stays
    /// the same when the certificate changes.
    #[must_use]
    pub fn spki_sha256(&self) -> Option<[u8; 32]> {
        self.shared()
            .tls
            .as_ref()
            .map(|tls| tls.authority.server_spki_sha256())
    }

    /// Shows another certificate on new connections. Open ones end after their current answer.
    ///
    /// # Errors
    /// [`StartError`] without TLS, or where the certificate cannot be made or written.
    ///
    /// # Panics
    /// If the service's thread has died.
    pub fn set_certificate(&self, certificate: Certificate) -> Result<(), StartError> {
        self.control.set_certificate(certificate)?;
        self.settle();
        Ok(())
    }

    // ---- faults

    /// Lets `fault` stand until it is cleared. One fault stands for the listener, one for
    /// connections and one for answers, with manners of different kinds beside them; a new one
    /// takes the place of the one before.
    pub fn set_fault(&self, fault: Fault) {
        self.order(FaultOrder { fault, times: None });
    }

    /// Lets `fault` befall the next `times` answers (or connections), before any standing fault.
    pub fn fault_next(&self, fault: Fault, times: u32) {
        if times > 0 {
            self.order(FaultOrder {
                fault,
                times: Some(times),
            });
        }
    }

    /// Orders a fault, as the command line and the administration interface do.
    ///
    /// # Panics
    /// If the service's thread has died.
    pub fn order(&self, order: FaultOrder) {
        self.control.order(order);
        self.settle();
    }

    /// The faults that are ordered and have not all struck yet.
    #[must_use]
    pub fn faults(&self) -> Vec<FaultOrder> {
        self.shared().settings().pending.orders()
    }

    /// Ends all faults, for answers that begin from now on.
    ///
    /// # Panics
    /// If the listener cannot open again, for lack of file descriptors.
    pub fn clear_faults(&self) {
        self.control.clear_faults();
        self.settle();
    }

    fn settle(&self) {
        self.control
            .settle()
            .expect("the port is reserved, so the listener opens again");
    }

    /// Begins an outage: the listener and all connections are closed.
    ///
    /// # Panics
    /// If the service's thread has died.
    pub fn stop(&self) {
        self.control.set_stopped(true);
        self.settle();
    }

    /// Ends the outage, on the same port.
    ///
    /// # Panics
    /// If the listener cannot open again, for lack of file descriptors.
    pub fn restart(&self) {
        self.control.set_stopped(false);
        self.settle();
    }

    // ---- credentials and rate

    /// Accepts this token from now on, and no other; `None` needs none.
    pub fn set_token(&self, token: Option<&str>) {
        self.control.set_token(token.map(str::to_owned));
    }

    /// Accepts this API key from now on, and no other; `None` needs none.
    pub fn set_api_key(&self, key: Option<&str>) {
        self.control.set_api_key(key.map(str::to_owned));
    }

    /// Limits the rate from now on, with an empty window.
    pub fn set_rate_limit(&self, limit: Option<RateLimit>) {
        self.control.set_rate_limit(limit);
    }

    // ---- the log

    /// All answers, oldest first.
    #[must_use]
    pub fn served(&self) -> Vec<Arc<Served>> {
        self.log(|log| log.served().to_vec())
    }

    /// All requests, oldest first, refused and unanswered ones included.
    #[must_use]
    pub fn requests(&self) -> Vec<Arc<Request>> {
        self.log(|log| log.requests().to_vec())
    }

    /// All connections, oldest first.
    #[must_use]
    pub fn connections(&self) -> Vec<Connection> {
        self.log(|log| log.connections().to_vec())
    }

    /// When each request arrived, oldest first.
    #[must_use]
    pub fn arrivals(&self) -> Vec<Instant> {
        self.log(|log| log.requests().iter().map(|request| request.at).collect())
    }

    /// Totals.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.log(Log::counts)
    }

    /// Looks at the log without copying it. The service waits meanwhile.
    pub fn log<T>(&self, look: impl FnOnce(&Log) -> T) -> T {
        look(&self.shared().record.read())
    }

    /// Blocks until the log is as wanted; false when the time is up first.
    #[must_use]
    pub fn wait_for(&self, reached: impl FnMut(&Log) -> bool, timeout: Duration) -> bool {
        self.shared().record.wait(reached, timeout)
    }

    /// Like [`wait_for`](Self::wait_for), for tasks of an event loop (with time enabled).
    pub async fn wait_until(&self, reached: impl FnMut(&Log) -> bool, timeout: Duration) -> bool {
        self.shared().record.wait_async(reached, timeout).await
    }
}

impl Drop for EntropyService {
    fn drop(&mut self) {
        self.control.quit();
        if let Some(thread) = self.thread.take() {
            // Its panic, if any, was printed when it happened.
            let _ = thread.join();
        }
    }
}

/// Makes what the service needs and starts its thread, which reports when it listens.
fn begin(options: Options, report: Report) -> Result<(Control, JoinHandle<()>), StartError> {
    let tls = options
        .tls
        .clone()
        .map(|tls| Tls::new(tls, options.state.as_deref()))
        .transpose()?;
    let shared = Arc::new(Shared::new(&options, tls));
    let (control, commands) = Control::new(Arc::clone(&shared));
    let admin_control = control.clone();
    let run = move || {
        let runtime = match tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
        {
            Ok(runtime) => runtime,
            Err(error) => return report(Err(StartError::Thread(error))),
        };
        runtime.block_on(async {
            let opened = open(shared, commands, &options, admin_control).await;
            let (server, admin) = match opened {
                Ok(opened) => opened,
                Err(error) => return report(Err(error)),
            };
            report(Ok(Places {
                service: server.address(),
                admin,
            }));
            server.run().await;
        });
    };
    let thread = std::thread::Builder::new()
        .name("entropy-service".to_owned())
        .spawn(run);
    Ok((control, thread.map_err(StartError::Thread)?))
}

async fn open(
    shared: Arc<Shared>,
    commands: tokio::sync::mpsc::UnboundedReceiver<Command>,
    options: &Options,
    control: Control,
) -> Result<(Server, Option<SocketAddr>), StartError> {
    let listen = |address| move |source| StartError::Listen { address, source };
    let server = Server::open(shared, commands, options.listen)
        .await
        .map_err(listen(options.listen))?;
    let admin = match options.admin {
        None => None,
        Some(address) => Some(
            admin::open(address, control)
                .await
                .map_err(listen(address))?,
        ),
    };
    Ok((server, admin))
}
