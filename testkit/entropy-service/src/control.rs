//! Changes to a running service, for the program that holds it and for the administration
//! interface alike.

use std::io;
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::authority::Certificate;
use crate::error::StartError;
use crate::fault::{FaultOrder, Layer};
use crate::options::RateLimit;
use crate::state::Shared;

/// What the server has to do.
pub(crate) enum Command {
    /// Opens or closes the listener, as the settings say now, and reports.
    Settle(Box<dyn FnOnce(io::Result<()>) + Send>),
    /// Ends.
    Quit,
}

/// Changes a running service.
#[derive(Clone)]
pub(crate) struct Control {
    pub(crate) shared: Arc<Shared>,
    commands: mpsc::UnboundedSender<Command>,
}

impl Control {
    pub(crate) fn new(shared: Arc<Shared>) -> (Self, mpsc::UnboundedReceiver<Command>) {
        let (commands, receiver) = mpsc::unbounded_channel();
        (Self { shared, commands }, receiver)
    }

    /// Orders a fault. One of the listener's takes effect with the next settling.
    pub(crate) fn order(&self, order: FaultOrder) {
        let layer = order.fault.layer();
        self.shared.settings().pending.order(order);
        if layer == Layer::Connection {
            self.shared.dismissed.send_replace(());
        }
    }

    pub(crate) fn clear_faults(&self) {
        self.shared.settings().pending.clear();
    }

    pub(crate) fn set_stopped(&self, stopped: bool) {
        self.shared.settings().stopped = stopped;
    }

    pub(crate) fn set_token(&self, token: Option<String>) {
        self.shared.settings().token = token;
    }

    pub(crate) fn set_api_key(&self, key: Option<String>) {
        self.shared.settings().api_key = key;
    }

    pub(crate) fn set_rate_limit(&self, limit: Option<RateLimit>) {
        self.shared.settings().rate.set(limit);
    }

    /// Presents another certificate on new connections, and closes the open ones.
    pub(crate) fn set_certificate(&self, certificate: Certificate) -> Result<(), StartError> {
        self.shared
            .tls
            .as_ref()
            .ok_or(StartError::NoTls)?
            .set_certificate(certificate)?;
        self.shared.dismissed.send_replace(());
        Ok(())
    }

    /// Opens or closes the listener as the settings say; blocks until that is done.
    pub(crate) fn settle(&self) -> io::Result<()> {
        let (report, reported) = std::sync::mpsc::sync_channel(1);
        self.send(move |result| {
            // The caller may have gone.
            let _ = report.send(result);
        });
        reported
            .recv()
            .unwrap_or_else(|_| Err(io::ErrorKind::NotConnected.into()))
    }

    /// Like [`settle`](Self::settle), for tasks of the service's own thread.
    pub(crate) async fn settled(&self) -> io::Result<()> {
        let (report, reported) = tokio::sync::oneshot::channel();
        self.send(move |result| {
            let _ = report.send(result);
        });
        reported
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::NotConnected.into()))
    }

    fn send(&self, report: impl FnOnce(io::Result<()>) + Send + 'static) {
        // Without a server the report is dropped, and who waits for it told so.
        let _ = self.commands.send(Command::Settle(Box::new(report)));
    }

    pub(crate) fn quit(&self) {
        let _ = self.commands.send(Command::Quit);
    }
}
