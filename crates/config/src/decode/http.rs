//! Sources that are servers: url, authentication, TLS.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use qseed_model::PostQuantum;
use qseed_secrets::SecretRef;

use crate::report::{Findings, Reading};
use crate::section::{Field, Section};
use crate::source::{Auth, Http, Tls};
use crate::url::{Host, Scheme, Url};

/// The longest wait for an answer where the configuration says nothing.
pub(super) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// Paths that belong to requests; operators paste them into urls.
pub(super) const QRYPT_ENDPOINTS: &[&str] = &["/api/v1/entropy", "/api/v1/quantum-entropy"];
const OPEN_API_ENDPOINTS: &[&str] = &["/entropy", "/capabilities", "/healthtest"];

/// Qrypt's cloud, the only known server that always asks for a token.
const QRYPT_HOST: &str = "api-eus.qrypt.com";

/// Where Qrypt's cloud is.
pub(super) fn default_url() -> Url {
    Url {
        scheme: Scheme::Https,
        host: Host::Name(QRYPT_HOST.to_owned()),
        port: Scheme::Https.default_port(),
        path: String::new(),
    }
}

/// A source that speaks one of Qrypt's own interfaces.
pub(super) fn qrypt(section: &Section<'_>, findings: &mut Findings) -> Reading<Http> {
    let insecure_http = insecure_http(section, findings);
    let url = section.get("url").map_or_else(
        || Ok(default_url()),
        |field| {
            url(
                field,
                insecure_http.unwrap_or(true),
                QRYPT_ENDPOINTS,
                findings,
            )
        },
    );
    // The appliance on one's own premises knows no tokens, the cloud nothing else.
    let cloud = Host::Name(QRYPT_HOST.to_owned());
    let token = if url.as_ref().is_ok_and(|url| url.host == cloud) {
        let help = "Qrypt's cloud asks for one; write file:PATH";
        section.require("access_token", help, findings).map(Some)
    } else {
        Ok(section.get("access_token"))
    };
    complete(section, url, token, insecure_http, findings)
}

/// A source that speaks the QRNG Open API.
pub(super) fn open_api(section: &Section<'_>, findings: &mut Findings) -> Reading<(Http, Auth)> {
    let insecure_http = insecure_http(section, findings);
    let help = "write the server's url with the API's base path";
    let url = section.require("url", help, findings).and_then(|field| {
        url(
            field,
            insecure_http.unwrap_or(true),
            OPEN_API_ENDPOINTS,
            findings,
        )
    });
    let auth = section.get("auth").map_or(Ok(Auth::Bearer), |field| {
        let words = [
            ("bearer", Auth::Bearer),
            ("x-api-key", Auth::XApiKey),
            ("mtls", Auth::Mtls),
            ("none", Auth::None),
        ];
        field.choice(&words, findings)
    });
    let token = auth.and_then(|auth| token_for(section, auth, findings));
    let certificate = auth.and_then(|auth| certificate_for(section, auth, findings));
    let http = complete(section, url, token, insecure_http, findings);
    certificate?;
    Ok((http?, auth?))
}

/// The access token, which is there exactly if `auth` uses one.
fn token_for<'tree>(
    section: &Section<'tree>,
    auth: Auth,
    findings: &mut Findings,
) -> Reading<Option<Field<'tree>>> {
    if matches!(auth, Auth::Bearer | Auth::XApiKey) {
        let help = "`auth` bearer (the default) and x-api-key need one; mtls and none do not";
        return section.require("access_token", help, findings).map(Some);
    }
    match section.get("access_token") {
        None => Ok(None),
        Some(field) => Err(findings.fault_with_help(
            field.place,
            "`access_token` contradicts `auth`, which is mtls or none",
            "take it out, or write `auth: bearer` or `auth: x-api-key`",
        )),
    }
}

/// The client certificate must be there if `auth` is mtls, and must not be there if it is none.
fn certificate_for(section: &Section<'_>, auth: Auth, findings: &mut Findings) -> Reading<()> {
    let given = section
        .get("tls")
        .is_some_and(|tls| tls.holds("client_cert") || tls.holds("client_key"));
    match (auth, given) {
        (Auth::Mtls, false) => Err(findings.fault_with_help(
            section.place_of("auth"),
            "`auth: mtls` needs a client certificate",
            "write `client_cert` and `client_key` into `tls`",
        )),
        (Auth::None, true) => Err(findings.fault_with_help(
            section.place_of("auth"),
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
    token: Reading<Option<Field<'_>>>,
    insecure_http: Reading<bool>,
    findings: &mut Findings,
) -> Reading<Http> {
    let access_token =
        token.and_then(|field| field.map(|field| access_token(field, findings)).transpose());
    let timeout = timeout(section, findings);
    let tls_field = section.get("tls");
    let tls = tls_field.map_or_else(|| Ok(Tls::default()), |field| tls(field, findings));
    let url = url?;
    if let (Some(field), Scheme::Http) = (tls_field, url.scheme) {
        return Err(findings.fault_with_help(
            field.place,
            "`tls` contradicts the url, which is plain http",
            "write an https url, or take `tls` out",
        ));
    }
    if let (Ok(true), Scheme::Https) = (insecure_http, url.scheme) {
        let place = section.place_of("insecure_http");
        findings.warn(place, "`insecure_http` has no effect on an https url");
    }
    Ok(Http {
        url,
        access_token: access_token?,
        tls: tls?,
        timeout: timeout?,
        insecure_http: insecure_http?,
    })
}

fn insecure_http(section: &Section<'_>, findings: &mut Findings) -> Reading<bool> {
    section
        .get("insecure_http")
        .map_or(Ok(false), |field| field.boolean(findings))
}

/// The longest that one request may take.
pub(super) fn timeout(section: &Section<'_>, findings: &mut Findings) -> Reading<Duration> {
    section.get("timeout").map_or(Ok(DEFAULT_TIMEOUT), |field| {
        field.duration(1..=300, "1s to 5m", findings)
    })
}

/// A server's url. It is never shown in a fault: people paste tokens into urls.
pub(super) fn url(
    field: Field<'_>,
    insecure_http: bool,
    endpoints: &[&str],
    findings: &mut Findings,
) -> Reading<Url> {
    let url = match Url::parse(field.text(findings)?) {
        Ok(url) => url,
        Err(why) => return field.refuse_unshown(why, None, findings),
    };
    if let Some(endpoint) = endpoints
        .iter()
        .find(|endpoint| url.path.ends_with(**endpoint))
    {
        let why = format!("the url ends with {endpoint}, which qseed adds itself");
        return field.refuse_unshown(&why, Some("write the part before it"), findings);
    }
    if url.scheme == Scheme::Http && !url.host.is_loopback() && !insecure_http {
        let why = "http:// to another machine sends entropy and token unprotected";
        let help = "write https://, or in the full form `insecure_http: true` with this source";
        return field.refuse_unshown(why, Some(help), findings);
    }
    Ok(url)
}

/// A token that goes into a header, which takes visible ASCII only (RFC 9110, section 5.5).
pub(super) fn access_token(field: Field<'_>, findings: &mut Findings) -> Reading<SecretRef> {
    let token = field.secret(findings)?;
    if let SecretRef::Literal(secret) = &token
        && !secret.expose().iter().all(u8::is_ascii_graphic)
    {
        let why = "the token has characters that a request header cannot carry";
        return field.refuse_unshown(why, Some("copy it again, without blanks"), findings);
    }
    Ok(token)
}

fn tls(field: Field<'_>, findings: &mut Findings) -> Reading<Tls> {
    let keys = [
        "ca",
        "client_cert",
        "client_key",
        "pin_sha256",
        "post_quantum",
    ];
    let section = field.section(&keys, findings)?;
    let ca = section
        .get("ca")
        .map(|field| field.path(findings))
        .transpose();
    let client_cert = section
        .get("client_cert")
        .map(|field| field.path(findings))
        .transpose();
    let client_key = section
        .get("client_key")
        .map(|field| field.secret(findings))
        .transpose();
    let pair = match (section.get("client_cert"), section.get("client_key")) {
        (Some(_), None) => Err("client_key"),
        (None, Some(_)) => Err("client_cert"),
        _ => Ok(()),
    };
    let pair = pair.map_err(|lacking| {
        section.missing(
            lacking,
            "a client certificate and its key belong together",
            findings,
        )
    });
    let pin_sha256 = section
        .get("pin_sha256")
        .map_or_else(|| Ok(Vec::new()), |field| pins(field, findings));
    let post_quantum = section
        .get("post_quantum")
        .map_or(Ok(PostQuantum::Prefer), |field| {
            let words = [
                ("require", PostQuantum::Require),
                ("prefer", PostQuantum::Prefer),
                ("off", PostQuantum::Off),
            ];
            field.choice(&words, findings)
        });
    pair?;
    Ok(Tls {
        ca: ca?,
        client_cert: client_cert?,
        client_key: client_key?,
        pin_sha256: pin_sha256?,
        post_quantum: post_quantum?,
    })
}

/// Digests of public keys. An empty list would pin nothing while it looks as if it did.
fn pins(field: Field<'_>, findings: &mut Findings) -> Reading<Vec<[u8; 32]>> {
    let items = field.list(findings)?;
    if items.is_empty() {
        let help = "list at least one digest, or take the key out";
        return Err(findings.fault_with_help(field.place, "`pin_sha256` is empty", help));
    }
    let pins: Vec<Reading<[u8; 32]>> = items
        .iter()
        .map(|node| {
            let item = Field {
                node,
                place: node.place,
                ..field
            };
            let text = item.text(findings)?;
            let digest = STANDARD
                .decode(text)
                .ok()
                .and_then(|bytes| bytes.try_into().ok());
            let help =
                "write the base64 of the SHA-256 over the SubjectPublicKeyInfo, 44 characters";
            digest.map_or_else(|| item.refuse(text, "is not a digest", help, findings), Ok)
        })
        .collect();
    pins.into_iter().collect()
}
