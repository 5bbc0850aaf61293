//! Sources that are servers: url, authentication, TLS.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use qseed_model::{Host, PostQuantum, Scheme, Url};
use qseed_secrets::SecretRef;

use crate::keys;
use crate::report::Reading;
use crate::section::{Field, Section};
use crate::source::{Auth, Http, Tls};

/// The longest wait for an answer where the configuration says nothing.
pub(super) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// Paths that belong to requests; operators paste them into urls.
pub(super) const QRYPT_ENDPOINTS: &[&str] = &["/api/v1/entropy", "/api/v1/quantum-entropy"];
const OPEN_API_ENDPOINTS: &[&str] = &["/entropy", "/capabilities", "/healthtest"];

/// What a source over plain HTTP risks.
pub(super) const RISK: &str = "sends entropy and token unprotected";

/// Where Qrypt's cloud is.
pub(super) fn default_url() -> Url {
    Url {
        scheme: Scheme::Https,
        host: Host::Name("api-eus.qrypt.com".to_owned()),
        port: Scheme::Https.default_port(),
        path: String::new(),
    }
}

/// A source that speaks one of Qrypt's own interfaces.
pub(super) fn qrypt(section: &Section<'_>) -> Reading<Http> {
    let insecure_http = section.or("insecure_http", false, Field::boolean);
    let url = section.or("url", default_url(), |field| {
        url(field, insecure_http.unwrap_or(true), QRYPT_ENDPOINTS, RISK)
    });
    // The cloud always asks for a token; an appliance on the user's premises has none.
    let is_cloud = url.as_ref().is_ok_and(|url| url.host == default_url().host);
    let token = if is_cloud {
        let help = "Qrypt's cloud asks for one; write file:PATH";
        let token = section.require("access_token", help, access_token);
        token.map(Some)
    } else {
        section.optional("access_token", access_token)
    };
    complete(section, url, Ok(Auth::Bearer), token, insecure_http)
}

/// A source that speaks the QRNG Open API.
pub(super) fn open_api(section: &Section<'_>) -> Reading<Http> {
    let insecure_http = section.or("insecure_http", false, Field::boolean);
    let help = "write the server's url with the API's base path";
    let url = section.require("url", help, |field| {
        url(
            field,
            insecure_http.unwrap_or(true),
            OPEN_API_ENDPOINTS,
            RISK,
        )
    });
    let auth = section.or("auth", Auth::Bearer, authentication);
    let token = auth.and_then(|auth| token_for(section, auth));
    let certificate = auth.and_then(|auth| certificate_for(section, auth));
    let http = complete(section, url, auth, token, insecure_http);
    certificate?;
    http
}

/// Notes which values are wrong for every type of server.
pub(super) fn judge_values(section: &Section<'_>) {
    let insecure_http = section.or("insecure_http", false, Field::boolean);
    let _ = section.optional("url", |field| {
        url(field, insecure_http.unwrap_or(true), &[], RISK)
    });
    let _ = section.optional("access_token", access_token);
    let _ = section.optional("auth", authentication);
    let _ = section.optional("tls", tls);
    let _ = timeout(section);
}

fn authentication(field: Field<'_>) -> Reading<Auth> {
    field.choice(&[
        ("bearer", Auth::Bearer),
        ("x-api-key", Auth::XApiKey),
        ("mtls", Auth::Mtls),
        ("none", Auth::None),
    ])
}

/// The access token, which is there exactly if `auth` uses one.
fn token_for(section: &Section<'_>, auth: Auth) -> Reading<Option<SecretRef>> {
    if matches!(auth, Auth::Bearer | Auth::XApiKey) {
        let help = "`auth` bearer (the default) and x-api-key need one; mtls and none do not";
        return section
            .require("access_token", help, access_token)
            .map(Some);
    }
    if section.get("access_token").is_some() {
        return Err(section.contradiction(
            "access_token",
            "`access_token` contradicts `auth`, which is mtls or none",
            "take it out, or write `auth: bearer` or `auth: x-api-key`",
        ));
    }
    Ok(None)
}

/// The client certificate must be there if `auth` is mtls, and must not be there if it is none.
fn certificate_for(section: &Section<'_>, auth: Auth) -> Reading<()> {
    let given = section
        .get("tls")
        .is_some_and(|tls| tls.holds("client_cert") || tls.holds("client_key"));
    match (auth, given) {
        (Auth::Mtls, false) => Err(section.contradiction(
            "auth",
            "`auth: mtls` needs a client certificate",
            "write `client_cert` and `client_key` into `tls`",
        )),
        (Auth::None, true) => Err(section.contradiction(
            "auth",
            "`auth: none` contradicts the client certificate in `tls`",
            "write `auth: mtls`, or take client_cert and client_key out",
        )),
        _ => Ok(()),
    }
}

/// What all servers have in common.
fn complete(
    section: &Section<'_>,
    url: Reading<Url>,
    auth: Reading<Auth>,
    access_token: Reading<Option<SecretRef>>,
    insecure_http: Reading<bool>,
) -> Reading<Http> {
    let timeout = timeout(section);
    let tls = section.optional("tls", tls);
    let url = url?;
    judge_scheme(section, &url, insecure_http)?;
    Ok(Http {
        url,
        auth: auth?,
        access_token: access_token?,
        tls: tls?.unwrap_or_default(),
        timeout: timeout?,
        insecure_http: insecure_http?,
    })
}

/// Whether what the section says goes with the scheme of its url.
pub(super) fn judge_scheme(
    section: &Section<'_>,
    url: &Url,
    insecure_http: Reading<bool>,
) -> Reading<()> {
    if url.scheme == Scheme::Http && section.get("tls").is_some() {
        return Err(section.contradiction(
            "tls",
            "`tls` contradicts the url, which is plain http",
            "write an https url, or take `tls` out",
        ));
    }
    if let (Ok(true), Scheme::Https) = (insecure_http, url.scheme) {
        let place = section.place_of("insecure_http");
        let message = "`insecure_http` has no effect on an https url";
        section.findings.warn(place, message);
    }
    Ok(())
}

/// The longest that one request may take.
pub(super) fn timeout(section: &Section<'_>) -> Reading<Duration> {
    section.or("timeout", DEFAULT_TIMEOUT, |field| {
        field.duration(1..=300, "1s to 5m")
    })
}

/// A server's url. It is never shown in a fault: people paste tokens into urls.
pub(super) fn url(
    field: Field<'_>,
    insecure_http: bool,
    endpoints: &[&str],
    risk: &str,
) -> Reading<Url> {
    let url = match Url::parse(field.text()?) {
        Ok(url) => url,
        Err(why) => return field.refuse_unshown(why, None),
    };
    let mut endpoints = endpoints.iter();
    if let Some(endpoint) = endpoints.find(|endpoint| url.path.ends_with(**endpoint)) {
        let why = format!("the url ends with {endpoint}, which qseed adds itself");
        return field.refuse_unshown(&why, Some("write the part before it"));
    }
    if url.scheme == Scheme::Http && !url.host.is_loopback() && !insecure_http {
        let why = format!("http:// to another machine {risk}");
        let help = "write https://, or in the full form `insecure_http: true` beside it";
        return field.refuse_unshown(&why, Some(help));
    }
    Ok(url)
}

/// A token that goes into a header, which takes visible ASCII only (RFC 9110, section 5.5).
pub(super) fn access_token(field: Field<'_>) -> Reading<SecretRef> {
    let token = field.secret()?;
    if let SecretRef::Literal(secret) = &token
        && !secret.expose().iter().all(u8::is_ascii_graphic)
    {
        let why = "the token has characters that a request header cannot carry";
        return field.refuse_unshown(why, Some("copy it again, without blanks"));
    }
    Ok(token)
}

pub(super) fn tls(field: Field<'_>) -> Reading<Tls> {
    let section = field.section(keys::TLS)?;
    let ca = section.optional("ca", Field::path);
    let client_cert = section.optional("client_cert", Field::path);
    let client_key = section.optional("client_key", Field::secret);
    let lacking = match (section.get("client_cert"), section.get("client_key")) {
        (Some(_), None) => Some("client_key"),
        (None, Some(_)) => Some("client_cert"),
        _ => None,
    };
    let help = "a client certificate and its key belong together";
    let lacking = lacking.map(|key| section.missing(key, help));
    let help = "list at least one digest, or take the key out";
    let pin_sha256 = section.optional("pin_sha256", |field| {
        // An empty list would pin nothing while it looks as if it did.
        field.filled_list(help, |node| {
            digest(Field {
                place: node.place,
                node,
                ..field
            })
        })
    });
    let post_quantum = section.or("post_quantum", PostQuantum::Prefer, |field| {
        field.choice(&[
            ("require", PostQuantum::Require),
            ("prefer", PostQuantum::Prefer),
            ("off", PostQuantum::Off),
        ])
    });
    lacking.map_or(Ok(()), Err)?;
    Ok(Tls {
        ca: ca?,
        client_cert: client_cert?,
        client_key: client_key?,
        pin_sha256: pin_sha256?.unwrap_or_default(),
        post_quantum: post_quantum?,
    })
}

/// The digest of a public key.
fn digest(field: Field<'_>) -> Reading<[u8; 32]> {
    let decoded = STANDARD.decode(field.text()?).ok();
    let digest = decoded.and_then(|bytes| bytes.try_into().ok());
    let help = "write the base64 of the SHA-256 over the SubjectPublicKeyInfo, 44 characters";
    digest.map_or_else(|| field.refuse("is not a digest", help), Ok)
}
