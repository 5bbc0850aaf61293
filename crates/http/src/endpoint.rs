//! Where a service is, in the forms that TLS, HTTP and people want.

use std::net::IpAddr;

use hyper::header::HeaderValue;
use qseed_model::{Host, Url};
use rustls_pki_types::ServerName;

/// Where the service is.
pub(crate) struct Endpoint {
    /// For people: host and port.
    pub(crate) name: String,
    pub(crate) server_name: ServerName<'static>,
    /// The Host header.
    pub(crate) host: HeaderValue,
}

impl Endpoint {
    pub(crate) fn new(url: &Url) -> Self {
        let server_name = match &url.host {
            Host::Name(name) => {
                ServerName::try_from(name.clone()).expect("a url's host is a DNS name")
            }
            Host::V4(address) => IpAddr::from(*address).into(),
            Host::V6(address) => IpAddr::from(*address).into(),
        };
        let name = format!("{}:{}", url.host, url.port);
        let host = if url.port == url.scheme.default_port() {
            url.host.to_string()
        } else {
            name.clone()
        };
        Self {
            name,
            server_name,
            host: HeaderValue::from_str(&host).expect("a url's host is ASCII"),
        }
    }
}

#[cfg(test)]
mod tests {
    use qseed_model::Url;

    use super::Endpoint;

    fn endpoint(url: &str) -> Endpoint {
        Endpoint::new(&Url::parse(url).expect("a url"))
    }

    #[test]
    fn the_host_header_leaves_the_usual_port_out() {
        for (url, host) in [
            ("https://a.example", "a.example"),
            ("https://a.example:80", "a.example:80"),
            ("http://a.example:80", "a.example"),
            ("https://[::1]", "[::1]"),
            ("https://[::1]:8443", "[::1]:8443"),
        ] {
            assert_eq!(endpoint(url).host, host);
        }
    }

    #[test]
    fn every_host_of_a_url_is_a_name_for_tls() {
        for (url, name) in [
            ("https://[::1]:8443", "::1"),
            ("https://127.0.0.1", "127.0.0.1"),
            ("https://LOCALHOST", "localhost"),
            ("https://a_b.c-d.example", "a_b.c-d.example"),
            ("https://1.2.3.a4", "1.2.3.a4"),
        ] {
            assert_eq!(endpoint(url).server_name.to_str(), name);
        }
        let longest = format!("{}.{}", vec!["a".repeat(63); 3].join("."), "b".repeat(61));
        assert_eq!(
            endpoint(&format!("https://{longest}")).server_name.to_str(),
            longest
        );
        // What TLS takes for no name is no url: every short text of the characters that matter.
        let letters = ['a', '0', 'x', '-', '_', '.'];
        for number in 0..6_usize.pow(5) {
            let digit = |place| letters[number / 6_usize.pow(place) % 6];
            let host: String = (0..5).map(digit).collect();
            for host in [&host[..], &host[..2], &host[..3]] {
                if let Ok(url) = Url::parse(&format!("https://{host}")) {
                    Endpoint::new(&url);
                }
            }
        }
    }
}
