//! The urls of entropy services.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// The address of a service: scheme, host, port and base path, and nothing that could carry a
/// secret (no user information, query or fragment).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// Whether TLS is spoken.
    pub scheme: Scheme,
    /// The server.
    pub host: Host,
    /// Its port, at least 1; 443 or 80 where the url has none.
    pub port: u16,
    /// The base path, percent-encoded as written: empty, or with a slash at its beginning and
    /// none at its end.
    pub path: String,
}

/// A url's scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// HTTP over TLS.
    Https,
    /// Plain HTTP.
    Http,
}

/// A url's host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// A DNS name, in lower case, without a dot at its end.
    Name(String),
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 address.
    V6(Ipv6Addr),
}

impl Host {
    /// Whether it is this very machine: `127.0.0.0/8`, `::1` or `localhost` (RFC 6761, section 6.3).
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match self {
            Self::Name(name) => name == "localhost",
            Self::V4(address) => address.is_loopback(),
            Self::V6(address) => address.is_loopback(),
        }
    }
}

impl Scheme {
    /// The scheme's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Http => "http",
        }
    }

    /// The port of a url without one.
    #[must_use]
    pub fn default_port(self) -> u16 {
        match self {
            Self::Https => 443,
            Self::Http => 80,
        }
    }
}

impl Url {
    /// Reads a url.
    ///
    /// # Errors
    /// What is wrong, without showing any of it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let (scheme, rest) = text
            .split_once("://")
            .ok_or("a url begins with https:// or http://")?;
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "https" => Scheme::Https,
            "http" => Scheme::Http,
            _ => return Err("a url begins with https:// or http://"),
        };
        if rest.contains(['?', '#']) {
            return Err("a url has no query and no fragment here");
        }
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err("a url has no user name and password here; the token is `access_token`");
        }
        let (host, port) = split_port(authority)?;
        let port = match port {
            None => scheme.default_port(),
            Some(digits) => parse_port(digits)?,
        };
        Ok(Self {
            scheme,
            host: parse_host(host)?,
            port,
            path: parse_path(path)?,
        })
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::V4(address) => write!(f, "{address}"),
            Self::V6(address) => write!(f, "[{address}]"),
        }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.as_str(), self.host)?;
        if self.port != self.scheme.default_port() {
            write!(f, ":{}", self.port)?;
        }
        f.write_str(&self.path)
    }
}

fn split_port(authority: &str) -> Result<(&str, Option<&str>), &'static str> {
    if authority.starts_with('[') {
        let end = authority.find(']').ok_or("an IPv6 address ends with `]`")?;
        let (host, rest) = authority.split_at(end + 1);
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if rest.is_empty() => Ok((host, None)),
            None => Err("only a port may follow the host"),
        };
    }
    match authority.split_once(':') {
        None => Ok((authority, None)),
        Some((_, port)) if port.contains(':') => Err("an IPv6 address stands in brackets"),
        Some((host, port)) => Ok((host, Some(port))),
    }
}

fn parse_port(digits: &str) -> Result<u16, &'static str> {
    const WRONG: &str = "a port is a number from 1 to 65535";
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(WRONG);
    }
    match digits.parse() {
        Ok(0) | Err(_) => Err(WRONG),
        Ok(port) => Ok(port),
    }
}

fn parse_host(host: &str) -> Result<Host, &'static str> {
    if let Some(address) = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        return address
            .parse()
            .map(Host::V6)
            .map_err(|_| "not an IPv6 address");
    }
    if host.is_empty() {
        return Err("the host is missing");
    }
    if !host.is_ascii() {
        return Err("a host name with other letters than a to z is written in its xn-- form");
    }
    let name = host.to_ascii_lowercase();
    // WHATWG and curl read a host whose last label is a number as an IPv4 address: so must we, or
    // `127.1` would be one host to the check for loopback and another one to the resolver.
    let last = name.rsplit('.').next().unwrap_or_default();
    if last.bytes().all(|byte| byte.is_ascii_digit()) || last.starts_with("0x") {
        return name
            .parse()
            .map(Host::V4)
            .map_err(|_| "not an IPv4 address");
    }
    let is_label = |label: &str| {
        let letters = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        (1..=63).contains(&label.len())
            && label.bytes().all(letters)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if name.len() > 253 || !name.split('.').all(is_label) {
        return Err("not a host name");
    }
    Ok(Host::Name(name))
}

fn parse_path(path: &str) -> Result<String, &'static str> {
    let path = path.trim_end_matches('/');
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@%".contains(&byte);
    if !path.bytes().all(allowed) {
        return Err("a path's other characters are percent-encoded (RFC 3986, section 3.3)");
    }
    let complete = |escape: &str| {
        escape.len() >= 2 && escape.bytes().take(2).all(|byte| byte.is_ascii_hexdigit())
    };
    if !path.split('%').skip(1).all(complete) {
        return Err("two hexadecimal digits follow each `%`");
    }
    Ok(path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{Host, Scheme, Url};

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap_or_else(|why| panic!("{text}: {why}"))
    }

    #[test]
    fn parts_are_told_apart() {
        let full = url("HTTPS://QRNG.Lab.example:8443/v1/");
        assert_eq!(full.scheme, Scheme::Https);
        assert_eq!(full.host, Host::Name("qrng.lab.example".to_owned()));
        assert_eq!((full.port, full.path.as_str()), (8443, "/v1"));
        assert_eq!(full.to_string(), "https://qrng.lab.example:8443/v1");
        assert_eq!(url("http://10.0.0.1").port, 80);
        assert_eq!(url("https://[::1]:8443/").to_string(), "https://[::1]:8443");
        assert_eq!(
            url("https://api-eus.qrypt.com:443/").to_string(),
            "https://api-eus.qrypt.com"
        );
    }

    #[test]
    fn loopback_is_recognised() {
        for text in [
            "http://127.0.0.1",
            "http://127.9.9.9:80",
            "http://[::1]",
            "http://LOCALHOST/",
        ] {
            assert!(url(text).host.is_loopback(), "{text}");
        }
        for text in [
            "http://128.0.0.1",
            "http://[::2]",
            "http://localhost.example",
        ] {
            assert!(!url(text).host.is_loopback(), "{text}");
        }
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for text in [
            "",
            "api-eus.qrypt.com",
            "ftp://a",
            "https://",
            "https:///v1",
            "https://a:0",
            "https://a:65536",
            "https://a:",
            "https://a:+1",
            "https://a:1:2",
            "https://::1/",
            "https://[::1",
            "https://[::1]x",
            "https://[fe80::1%25eth0]",
            "https://user:pw@a",
            "https://a/?q",
            "https://a#f",
            "https://a b",
            "https://a..b",
            "https://-a",
            "https://a-.b",
            "https://a/%2",
            "https://a/%zz",
            "https://a/ü",
            "https://ü.de",
            "https://127.1",
            "https://0x7f000001",
            "https://256.1.1.1",
            "https://a/\n",
            "https://a\\b",
        ] {
            assert!(Url::parse(text).is_err(), "{text:?}");
        }
    }
}
