//! From a host's name to a TCP connection.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::helper::Helper;

/// The head start of an address before the next one is tried in parallel (RFC 8305 section 5).
const HEAD_START: Duration = Duration::from_millis(250);

/// Looks one host's addresses up, again for each connection.
pub(crate) struct Resolver {
    pub(crate) host: String,
    port: u16,
    lookup: Helper<io::Result<Vec<SocketAddr>>>,
}

impl Resolver {
    pub(crate) fn new(host: &str, port: u16) -> Self {
        Self {
            host: host.to_owned(),
            port,
            lookup: Helper::new("resolver"),
        }
    }

    /// Refuses `localhost` (RFC 6761 section 6.3) where it leads away from this machine.
    pub(crate) fn stays_here(&self, addresses: &[SocketAddr]) -> io::Result<()> {
        let mut addresses = addresses.iter().map(SocketAddr::ip);
        match addresses.find(|address| !address.is_loopback()) {
            Some(address) if self.host == "localhost" => Err(io::Error::other(format!(
                "it is {address}, which is not this machine, and plain HTTP would show the \
                 entropy and the access token to others; write 127.0.0.1 in `url`, or correct \
                 the name"
            ))),
            _ => Ok(()),
        }
    }

    /// The addresses in the order in which they should be tried; at least one.
    pub(crate) async fn resolve(&mut self) -> io::Result<Vec<SocketAddr>> {
        if let Ok(address) = self.host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, self.port)]);
        }
        let (host, port) = (self.host.clone(), self.port);
        // The system's resolver may take as long as it likes.
        let look_up = move || Ok((host.as_str(), port).to_socket_addrs()?.collect());
        let addresses: Vec<SocketAddr> = self.lookup.run(look_up).await??;
        if addresses.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                "the name has no address",
            ));
        }
        Ok(alternate(addresses))
    }
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
pub(crate) async fn connect(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
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
        assert!(localhost.stays_here(&[here, also_here]).is_ok());
        let astray = localhost.stays_here(&[here, elsewhere]);
        assert!(astray.expect_err("away").to_string().contains("192.0.2.7"));
        let other = Resolver::new("qrng.example", 1);
        assert!(other.stays_here(&[elsewhere]).is_ok());
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
    }
}
