//! Where a service is, in the forms that TLS, HTTP and people want.

use hyper::header::HeaderValue;
use hyper::http::uri::PathAndQuery;
use rustls_pki_types::ServerName;

use crate::settings::{Http, SettingsError, Transport};

/// Where the service is.
pub(super) struct Endpoint {
    /// For people: host and port.
    pub(super) name: String,
    pub(super) server_name: ServerName<'static>,
    /// The Host header.
    pub(super) host: HeaderValue,
    pub(super) base_path: String,
}

impl Endpoint {
    pub(super) fn new(http: &Http) -> Result<Self, SettingsError> {
        let wrong_host = || SettingsError::Host(http.host.clone());
        let inner = http
            .host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        let bare = inner.unwrap_or(&http.host);
        let server_name = ServerName::try_from(bare.to_owned()).map_err(|_| wrong_host())?;
        let bracketed = if bare.contains(':') {
            format!("[{bare}]")
        } else {
            bare.to_owned()
        };
        let name = format!("{bracketed}:{}", http.port);
        let usual = match http.transport {
            Transport::Plain => 80,
            Transport::Tls(_) => 443,
        };
        let host = if http.port == usual {
            &bracketed
        } else {
            &name
        };
        let host = HeaderValue::from_str(host).map_err(|_| wrong_host())?;
        let base_path = http.base_path.trim_end_matches('/').to_owned();
        let wrong_path = base_path.contains(['?', '#'])
            || !(base_path.is_empty() || base_path.starts_with('/'))
            || PathAndQuery::from_maybe_shared(format!("{base_path}/")).is_err();
        if wrong_path {
            return Err(SettingsError::BasePath(http.base_path.clone()));
        }
        Ok(Self {
            name,
            server_name,
            host,
            base_path,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Endpoint;
    use crate::settings::{Auth, Http, SettingsError, Tls, Transport};

    fn http(host: &str, port: u16, base_path: &str, transport: Transport) -> Http {
        Http {
            host: host.to_owned(),
            port,
            base_path: base_path.to_owned(),
            transport,
            auth: Auth::None,
            timeout: Duration::from_secs(1),
        }
    }

    #[test]
    fn the_host_header_leaves_the_usual_port_out() {
        let host = |host, port, transport| {
            let endpoint = Endpoint::new(&http(host, port, "", transport)).expect("an endpoint");
            endpoint.host.to_str().expect("ASCII").to_owned()
        };
        let tls = || Transport::Tls(Tls::default());
        assert_eq!(host("a.example", 443, tls()), "a.example");
        assert_eq!(host("a.example", 80, tls()), "a.example:80");
        assert_eq!(host("a.example", 80, Transport::Plain), "a.example");
        assert_eq!(host("[::1]", 443, tls()), "[::1]");
        assert_eq!(host("::1", 8443, tls()), "[::1]:8443");
    }

    #[test]
    fn base_paths_begin_with_a_slash_and_end_without() {
        let path = |path| {
            let endpoint = Endpoint::new(&http("a.example", 443, path, Transport::Plain));
            endpoint.map(|endpoint| endpoint.base_path)
        };
        for (given, kept) in [("", ""), ("/", ""), ("/v1", "/v1"), ("/api/v1/", "/api/v1")] {
            assert_eq!(path(given).expect(given), kept);
        }
        for wrong in ["v1", "/a?b", "/a#b", "/a b", "/a\r\nX: y"] {
            assert!(
                matches!(path(wrong), Err(SettingsError::BasePath(_))),
                "{wrong}"
            );
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for wrong in [
            "",
            "a b",
            "a/b",
            "[::1",
            "user@host",
            "a.example:443",
            "a\r\nb",
        ] {
            let endpoint = Endpoint::new(&http(wrong, 443, "", Transport::Plain));
            assert!(matches!(endpoint, Err(SettingsError::Host(_))), "{wrong}");
        }
    }
}
