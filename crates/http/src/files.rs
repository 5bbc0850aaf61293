//! What a request needs from files: the access token, and TLS's certificates and key.

use bytes::Bytes;
use hyper::header::{AUTHORIZATION, HeaderName, HeaderValue};
use qseed_secrets::SecretRef;
use zeroize::Zeroizing;

use crate::error::HttpError;
use crate::settings::{Auth, Http, Tls};
use crate::tls::{Loaded, SystemRoots};

/// The other header that services take a token in.
const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The header with the access token, or why the token cannot be used.
pub(crate) type Credential = Result<Option<(HeaderName, HeaderValue)>, String>;

/// What the files held when they were read.
pub(crate) struct Files {
    pub(crate) credential: Credential,
    /// `None` for plain HTTP.
    pub(crate) tls: Option<Loaded>,
}

impl Files {
    /// Whether [`Files::read`] looks at any file.
    pub(crate) fn are_needed(http: &Http, roots: &SystemRoots) -> bool {
        let token = match &http.auth {
            Auth::None => None,
            Auth::Bearer(token) | Auth::XApiKey(token) => token.path(),
        };
        let needed = |tls: &Tls| tls.ca.is_some() || tls.client.is_some() || !roots.are_loaded();
        token.is_some() || http.tls().is_some_and(needed)
    }

    /// Reads the token as it is now, and what TLS needs if that changed `before`. May take long.
    pub(crate) fn read(
        http: &Http,
        roots: &SystemRoots,
        before: Option<Loaded>,
    ) -> Result<Self, HttpError> {
        Ok(Self {
            tls: match http.tls() {
                Some(tls) => Some(Loaded::load(tls, roots, before)?),
                None => None,
            },
            credential: credential(&http.auth),
        })
    }
}

fn credential(auth: &Auth) -> Credential {
    Ok(match auth {
        Auth::None => None,
        Auth::Bearer(token) => Some((AUTHORIZATION, value("Bearer ", token)?)),
        Auth::XApiKey(token) => Some((X_API_KEY, value("", token)?)),
    })
}

/// The value lies in memory once, and is wiped when its last user is gone.
fn value(prefix: &str, secret: &SecretRef) -> Result<HeaderValue, String> {
    let unusable = || {
        format!("{secret} holds a space, a control or a non-ASCII character, which no token has")
    };
    let token = secret.read().map_err(|error| error.to_string())?;
    if !token.expose().iter().all(u8::is_ascii_graphic) {
        return Err(unusable());
    }
    let mut text = Zeroizing::new(Vec::with_capacity(prefix.len() + token.expose().len()));
    text.extend_from_slice(prefix.as_bytes());
    text.extend_from_slice(token.expose());
    let mut value =
        HeaderValue::from_maybe_shared(Bytes::from_owner(text)).map_err(|_| unusable())?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use hyper::header::HeaderValue;
    use qseed_secrets::SecretRef;

    use super::value;

    fn shown(value: &HeaderValue) -> &str {
        assert!(
            !format!("{value:?}").contains("token"),
            "a sensitive value shows nothing"
        );
        value.to_str().expect("ASCII")
    }

    #[test]
    fn a_rotated_file_takes_effect() {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        writeln!(file, "token-one").expect("written");
        let secret = SecretRef::File(file.path().to_owned());
        let read = || value("Bearer ", &secret);
        assert_eq!(shown(&read().expect("readable")), "Bearer token-one");
        // As a careful operator does it, and of the same length.
        let mut next = tempfile::NamedTempFile::new().expect("a file");
        writeln!(next, "token-two").expect("written");
        next.persist(file.path()).expect("renamed");
        assert_eq!(shown(&read().expect("readable")), "Bearer token-two");
        std::fs::remove_file(file.path()).expect("removed");
        assert!(read().is_err());
    }

    #[test]
    fn what_cannot_be_a_token_is_not_sent() {
        for wrong in ["two words", "token\nx: y", "tök", "a\0b"] {
            let secret = SecretRef::parse(wrong).expect("a literal");
            let error = value("", &secret).expect_err(wrong);
            assert!(error.contains("which no token has") && !error.contains(wrong));
        }
    }
}
