//! The header by which qseed shows who it is.

use bytes::Bytes;
use hyper::header::{AUTHORIZATION, HeaderName, HeaderValue};
use qseed_secrets::SecretRef;
use zeroize::Zeroizing;

use crate::error::FetchError;
use crate::settings::Auth;
use crate::stamp::Stamp;

/// The other header that services take a token in.
const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// A header made of a secret. It is read anew for each request whose secret's file changed, so that
/// a rotated token takes effect at once.
pub(super) struct Credential {
    auth: Auth,
    /// The header as it was made last, and of which state of the secret's file.
    made: Option<(Option<Stamp>, HeaderValue)>,
}

impl Credential {
    pub(super) fn new(auth: Auth) -> Self {
        Self { auth, made: None }
    }

    /// The header's name and value as the secret is now.
    pub(super) fn header(&mut self) -> Result<Option<(HeaderName, HeaderValue)>, FetchError> {
        let (name, prefix, secret) = match &self.auth {
            Auth::None => return Ok(None),
            Auth::Bearer(secret) => (AUTHORIZATION, "Bearer ", secret),
            Auth::XApiKey(secret) => (X_API_KEY, "", secret),
        };
        // The stamp is taken first: a file that changes during the reading is read again.
        let stamp = secret.path().map(|path| Stamp::of(&path));
        if let Some((made_of, value)) = &self.made
            && *made_of == stamp
        {
            return Ok(Some((name, value.clone())));
        }
        self.made = None;
        let value = value(prefix, secret)?;
        self.made = Some((stamp, value.clone()));
        Ok(Some((name, value)))
    }

    /// Whether the secret's file is not the one any more that the last header was made of.
    pub(super) fn changed(&self) -> bool {
        let (Auth::Bearer(secret) | Auth::XApiKey(secret)) = &self.auth else {
            return false;
        };
        let stamp = secret.path().map(|path| Stamp::of(&path));
        self.made.as_ref().is_some_and(|(of, _)| *of != stamp)
    }

    /// Has the secret read again for the next request, whatever its file looks like.
    pub(super) fn forget(&mut self) {
        self.made = None;
    }
}

/// The value lies in memory once, and is wiped when its last user is gone.
fn value(prefix: &str, secret: &SecretRef) -> Result<HeaderValue, FetchError> {
    let unusable = || FetchError::TokenCharacters {
        reference: secret.to_string(),
    };
    let token = secret.read()?;
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

    use qseed_secrets::SecretRef;

    use super::Credential;
    use crate::FetchError;
    use crate::settings::Auth;

    fn shown(credential: &mut Credential) -> String {
        let (name, value) = credential.header().expect("readable").expect("a header");
        assert!(
            !format!("{value:?}").contains("token"),
            "a sensitive value shows nothing"
        );
        format!("{name}: {}", value.to_str().expect("ASCII"))
    }

    #[test]
    fn a_rotated_file_takes_effect() {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        writeln!(file, "token-one").expect("written");
        let mut credential = Credential::new(Auth::Bearer(SecretRef::File(file.path().to_owned())));
        assert_eq!(shown(&mut credential), "authorization: Bearer token-one");
        assert_eq!(shown(&mut credential), "authorization: Bearer token-one");
        // As a careful operator does it, and of the same length.
        let mut next = tempfile::NamedTempFile::new().expect("a file");
        writeln!(next, "token-two").expect("written");
        next.persist(file.path()).expect("renamed");
        assert_eq!(shown(&mut credential), "authorization: Bearer token-two");
        std::fs::remove_file(file.path()).expect("removed");
        assert!(matches!(credential.header(), Err(FetchError::Secret(_))));
    }

    #[test]
    fn an_api_key_has_its_own_header() {
        let secret = SecretRef::parse("token").expect("a literal");
        assert_eq!(
            shown(&mut Credential::new(Auth::XApiKey(secret))),
            "x-api-key: token"
        );
    }

    #[test]
    fn what_cannot_be_a_token_is_not_sent() {
        for wrong in ["two words", "token\nx: y", "tök", "a\0b"] {
            let secret = SecretRef::parse(wrong).expect("a literal");
            let error = Credential::new(Auth::Bearer(secret))
                .header()
                .expect_err(wrong);
            assert!(matches!(error, FetchError::TokenCharacters { .. }));
            assert!(!format!("{error} {error:?}").contains(wrong));
        }
    }
}
