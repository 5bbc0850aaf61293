//! From a host's name to a TCP connection.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::beside::beside;

/// How long an address has for itself before the next one is tried besides (RFC 8305 section 5).
const HEAD_START: Duration = Duration::from_millis(250);

/// Looks one host's addresses up, for each connection anew.
pub(super) struct Resolver {
    host: String,
    port: u16,
    /// A lookup that outlived the call that began it. It cannot be cancelled, so it is waited for
    /// instead of starting another thread besides it.
    under_way: Option<oneshot::Receiver<io::Result<Vec<SocketAddr>>>>,
}

impl Resolver {
    pub(super) fn new(host: &str, port: u16) -> Self {
        Self {
            host: host.to_owned(),
            port,
            under_way: None,
        }
    }

    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// Where `localhost` leads away from this machine (RFC 6761 section 6.3), if it does.
    pub(super) fn leads_astray(&self, addresses: &[SocketAddr]) -> Option<IpAddr> {
        if self.host != "localhost" {
            return None;
        }
        let mut addresses = addresses.iter().map(SocketAddr::ip);
        addresses.find(|address| !address.is_loopback())
    }

    /// The addresses in the order in which they should be tried; at least one.
    pub(super) async fn resolve(&mut self) -> io::Result<Vec<SocketAddr>> {
        if let Ok(address) = self.host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, self.port)]);
        }
        let lookup = match &mut self.under_way {
            Some(lookup) => lookup,
            none => none.insert(look_up(self.host.clone(), self.port)?),
        };
        let found = lookup.await;
        self.under_way = None;
        let addresses: Vec<SocketAddr> = found.map_err(io::Error::other)??;
        if addresses.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                "the name has no address",
            ));
        }
        Ok(alternate(addresses))
    }
}

/// Asks the system's resolver, which may take as long as it likes.
fn look_up(host: String, port: u16) -> io::Result<oneshot::Receiver<io::Result<Vec<SocketAddr>>>> {
    beside("resolver", move || {
        Ok((host.as_str(), port).to_socket_addrs()?.collect())
    })
}

/// Alternates between the address families, beginning with the first one's, so that a family that
/// leads nowhere costs one head start (RFC 8305 section 4).
fn alternate(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (preferred, others): (Vec<_>, Vec<_>) = addresses
        .into_iter()
        .partition(|address| address.is_ipv6() == first_is_v6);
    let mut preferred = preferred.into_iter();
    let mut others = others.into_iter();
    let mut mixed = Vec::new();
    loop {
        let pair = [preferred.next(), others.next()];
        if pair == [None, None] {
            return mixed;
        }
        mixed.extend(pair.into_iter().flatten());
    }
}

/// Connects to the first address that answers; the next one joins in after a head start or a
/// failure. The error is the last address's.
pub(super) async fn connect(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut waiting = addresses.iter().copied();
    let mut tries = JoinSet::new();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "no address to connect to");
    loop {
        let next = waiting.next();
        if let Some(address) = next {
            tries.spawn(TcpStream::connect(address));
        }
        let ended = match next {
            Some(_) => match timeout(HEAD_START, tries.join_next()).await {
                Ok(ended) => ended,
                Err(_) => continue,
            },
            None => tries.join_next().await,
        };
        match ended {
            Some(Ok(Ok(stream))) => {
                // A request is one small write that must not wait for more.
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Some(Ok(Err(error))) => last = error,
            Some(Err(panicked)) => last = io::Error::other(panicked),
            None => return Err(last),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::net::TcpListener;

    use super::{Resolver, alternate, connect};

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn families_take_turns() {
        let [a, b, c, x] = ["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1"].map(address);
        assert_eq!(alternate(vec![a, b, c, x]), [a, x, b, c]);
        assert_eq!(alternate(vec![x, a]), [x, a]);
        assert_eq!(alternate(vec![]), []);
    }

    #[tokio::test]
    async fn a_dead_address_leads_to_the_next_one() {
        let closed = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let dead = closed.local_addr().expect("an address");
        drop(closed);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let alive = listener.local_addr().expect("an address");
        let stream = connect(&[dead, alive]).await.expect("connected");
        assert_eq!(stream.peer_addr().expect("an address"), alive);
        assert!(connect(&[dead]).await.is_err());
        assert!(connect(&[]).await.is_err());
    }

    #[test]
    fn localhost_must_lead_to_this_machine_alone() {
        let [here, also_here, elsewhere] = ["127.0.0.1:1", "[::1]:1", "192.0.2.7:1"].map(address);
        let localhost = Resolver::new("localhost", 1);
        assert_eq!(localhost.leads_astray(&[here, also_here]), None);
        let astray = localhost.leads_astray(&[here, elsewhere]);
        assert_eq!(astray, Some(elsewhere.ip()));
        let other = Resolver::new("qrng.example", 1);
        assert_eq!(other.leads_astray(&[elsewhere]), None);
    }

    #[tokio::test]
    async fn literal_addresses_need_no_lookup() {
        let found = Resolver::new("::1", 7).resolve().await.expect("an address");
        assert_eq!(found, [address("[::1]:7")]);
        let mut localhost = Resolver::new("localhost", 7);
        assert!(
            localhost.resolve().await.expect("an address")[0]
                .ip()
                .is_loopback()
        );
        assert!(localhost.under_way.is_none());
    }
}
