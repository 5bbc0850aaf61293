//! The listener and its connections.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::control::Command;
use crate::exchange::{Visit, exchange};
use crate::fault::Fault;
use crate::log::Outcome;
use crate::state::Shared;
use crate::tls;
use crate::wire::Wire;

/// A service's place on the network.
pub(crate) struct Server {
    shared: Arc<Shared>,
    commands: mpsc::UnboundedReceiver<Command>,
    /// Bound and never listening: it keeps the port from others while the listener is closed.
    _place: TcpSocket,
    address: SocketAddr,
    listener: Option<TcpListener>,
    connections: JoinSet<()>,
}

impl Server {
    /// Takes the address and opens the listener, unless a fault keeps it closed.
    pub(crate) async fn open(
        shared: Arc<Shared>,
        commands: mpsc::UnboundedReceiver<Command>,
        address: SocketAddr,
    ) -> io::Result<Self> {
        let place = bind(address)?;
        let address = place.local_addr()?;
        let connections = JoinSet::new();
        let mut server = Self {
            shared,
            commands,
            _place: place,
            address,
            listener: None,
            connections,
        };
        server.settle().await?;
        Ok(server)
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `quit`.
    pub(crate) async fn run(mut self) {
        loop {
            tokio::select! {
                command = self.commands.recv() => match command {
                    Some(Command::Settle(report)) => {
                        let settled = self.settle().await;
                        // Lets dismissed connections end first, so that whoever waits for the
                        // report finds none of them open.
                        tokio::task::yield_now().await;
                        report(settled);
                    }
                    Some(Command::Quit) | None => return,
                },
                stream = accept(self.listener.as_ref()) => {
                    self.connections.spawn(attend(Arc::clone(&self.shared), stream));
                }
                Some(_) = self.connections.join_next() => {}
            }
        }
    }

    async fn settle(&mut self) -> io::Result<()> {
        match (self.shared.settings().listens(), &self.listener) {
            (true, None) => self.listener = Some(bind(self.address)?.listen(1024)?),
            (false, Some(_)) => self.listener = None,
            _ => return Ok(()),
        }
        if self.listener.is_none() {
            self.connections.shutdown().await;
        }
        Ok(())
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    }?;
    // For the place and the listener side by side, and for connections that linger.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

async fn accept(listener: Option<&TcpListener>) -> TcpStream {
    let Some(listener) = listener else {
        return std::future::pending().await;
    };
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            // A client that left already, or no descriptor free: one may be in a moment.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

/// Accompanies a connection from its first byte to its last.
async fn attend(shared: Arc<Shared>, stream: TcpStream) {
    let number = shared.record.write(crate::log::Log::connected);
    let became = |outcome| shared.record.write(|log| log.became(number, outcome));
    let fault = shared.settings().pending.strike_connection();
    // Failing to set it costs speed at worst.
    let _ = stream.set_nodelay(true);
    match fault {
        Some(Fault::SlowHandshake(time)) => tokio::time::sleep(time).await,
        Some(Fault::HandshakeFailure) => {
            became(Outcome::Fault(Fault::HandshakeFailure));
            if shared.tls.is_some() {
                // The client may have left before its alert.
                let _ = tls::refuse_handshake(stream).await;
            }
            return;
        }
        Some(fault) => {
            became(Outcome::Fault(fault));
            // With it the close is a reset; without, the client sees an end of file instead.
            let _ = stream.set_zero_linger();
            return;
        }
        None => {}
    }
    let visit = Arc::new(Visit::new(number));
    let Some(tls) = &shared.tls else {
        became(Outcome::Plain);
        return serve(Arc::clone(&shared), visit, stream).await;
    };
    match TlsAcceptor::from(tls.config()).accept(stream).await {
        Ok(stream) => {
            became(Outcome::Tls(tls::facts(stream.get_ref().1)));
            serve(Arc::clone(&shared), visit, stream).await;
        }
        Err(error) => became(Outcome::HandshakeFailed(error.to_string())),
    }
}

/// Speaks HTTP on a connection.
async fn serve<S>(shared: Arc<Shared>, visit: Arc<Visit>, stream: S)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut dismissed = shared.dismissed.subscribe();
    let mut idle_until = visit.idle_until.subscribe();
    let io = TokioIo::new(Wire::new(stream, Arc::clone(&visit.flow)));
    let service =
        service_fn(move |request| exchange(Arc::clone(&shared), Arc::clone(&visit), request));
    let mut connection = std::pin::pin!(http1::Builder::new().serve_connection(io, service));
    // The log's requests show how a connection ended: the client left, or a fault closed it.
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = dismissed.changed() => {}
        () = expired(&mut idle_until) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = connection.await;
}

/// Waits for a deadline that comes, goes and moves.
async fn expired(deadline: &mut watch::Receiver<Option<tokio::time::Instant>>) {
    loop {
        let until = *deadline.borrow_and_update();
        let timer = async {
            match until {
                Some(until) => tokio::time::sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = timer => return,
            // The sender lives as long as the connection.
            _ = deadline.changed() => {}
        }
    }
}
