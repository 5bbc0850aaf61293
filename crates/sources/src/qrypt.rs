//! Qrypt's APIs, both with a bearer token: `POST {base}/api/v1/entropy`, and the older
//! `GET {base}/api/v1/quantum-entropy?size=KIB`, which is the only call that Qrypt documents for
//! its cloud. The on-premises appliance serves the first one without a token.

use qseed_entropy::Entropy;
use qseed_http::{Call, Exchange, Http, HttpClient, Method, SystemRoots, Traffic};
use qseed_model::{Limits, Shape};

use crate::answer::{entropy_limit, parse_entropy, parse_random};
use crate::ask;
use crate::error::FetchError;
use crate::inspection::{CredentialVerdict, Inspection};
use crate::{Ask, BoxFuture, Source};

/// One of Qrypt's APIs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Api {
    Newer,
    Older,
}

impl Api {
    fn limits(self) -> Limits {
        match self {
            Self::Newer => Limits::QRYPT,
            Self::Older => Limits::QRYPT_KIB,
        }
    }

    fn call(self, ask: Ask) -> Call {
        match self {
            Self::Newer => post("/api/v1/entropy", ask),
            Self::Older => Call {
                spare_attempt: ask.spare_attempt,
                ..Call::get(
                    format!("/api/v1/quantum-entropy?size={}", ask.shape.block_count),
                    entropy_limit(ask.shape),
                )
            },
        }
    }

    /// A request that a service must refuse as malformed, after it has checked the token.
    fn probe(self) -> Call {
        match self {
            Self::Newer => probe("/api/v1/entropy"),
            Self::Older => self.call(ask_for(Limits::QRYPT_KIB.min_size, 0)),
        }
    }
}

/// A source of type `qrypt` or `qrypt-kib`.
pub(crate) struct Qrypt {
    client: HttpClient,
    api: Api,
    /// Whether the older API is used if the service does not know the newer one.
    may_change: bool,
}

impl Qrypt {
    /// Uses the newer API if the service has it.
    pub(crate) fn open(http: Http, roots: &SystemRoots) -> Self {
        Self {
            client: HttpClient::new(http, roots),
            api: Api::Newer,
            may_change: true,
        }
    }

    /// Uses the older API alone.
    pub(crate) fn open_older(http: Http, roots: &SystemRoots) -> Self {
        Self {
            client: HttpClient::new(http, roots),
            api: Api::Older,
            may_change: false,
        }
    }

    /// Changes to the other API if the service does not know this one. If it knows neither, the
    /// error stands, and the next request begins again with the newer one.
    fn change_api(&mut self, error: FetchError) -> FetchError {
        if !self.may_change || !is_unknown(&error) {
            return error;
        }
        match self.api {
            Api::Newer => {
                self.api = Api::Older;
                FetchError::Limits
            }
            Api::Older => {
                self.api = Api::Newer;
                error
            }
        }
    }
}

impl Source for Qrypt {
    fn fetch(&mut self, ask: Ask) -> BoxFuture<'_, Result<Entropy, FetchError>> {
        Box::pin(async move {
            if !self.limits().allow(ask.shape) {
                return Err(FetchError::Limits);
            }
            let parse = match self.api {
                Api::Newer => parse_entropy,
                Api::Older => parse_random,
            };
            let parse = |body: &[u8]| parse(body, ask.shape);
            let call = self.api.call(ask);
            let fetched = ask::ask(&mut self.client, &call, "the asked entropy", parse).await;
            fetched.map_err(|error| self.change_api(error))
        })
    }

    fn limits(&self) -> Limits {
        self.api.limits()
    }

    fn connect(&mut self) -> BoxFuture<'_, Result<(), FetchError>> {
        Box::pin(async { Ok(self.client.connect().await?) })
    }

    fn inspect(&mut self) -> BoxFuture<'_, Inspection> {
        Box::pin(async {
            let mut seen = Inspection::begin(&mut self.client, self.api.limits()).await;
            let client = &mut self.client;
            seen.try_credential(client, &self.api.probe()).await;
            if self.may_change
                && matches!(&seen.credential, CredentialVerdict::OutOfOrder(error) if is_unknown(error))
            {
                seen.limits = Api::Older.limits();
                seen.try_credential(client, &Api::Older.probe()).await;
            }
            seen
        })
    }

    fn take_traffic(&mut self) -> Traffic {
        self.client.take_traffic()
    }
}

/// Whether the service does not know the call.
fn is_unknown(error: &FetchError) -> bool {
    matches!(error.status(), Some(404 | 405))
}

/// A request for entropy in the way that Qrypt's API and the QRNG Open API share.
pub(crate) fn post(path: &str, ask: Ask) -> Call {
    let Shape {
        block_size,
        block_count,
    } = ask.shape;
    Call {
        method: Method::POST,
        path: path.to_owned(),
        body: format!(r#"{{"block_size":{block_size},"block_count":{block_count}}}"#),
        exchange: Exchange::Json,
        answer_limit: entropy_limit(ask.shape),
        spare_attempt: ask.spare_attempt,
    }
}

/// A request for blocks of no bytes. A service must refuse it as malformed, after it has checked the
/// token.
pub(crate) fn probe(path: &str) -> Call {
    post(path, ask_for(0, 1))
}

fn ask_for(block_size: u32, block_count: u32) -> Ask {
    let shape = Shape {
        block_size,
        block_count,
    };
    Ask {
        shape,
        spare_attempt: true,
    }
}
