//! Qrypt's APIs, both with a bearer token: `POST {base}/api/v1/entropy`, and the older
//! `GET {base}/api/v1/quantum-entropy?size=KIB`, which is the only call that Qrypt documents for
//! its cloud. The on-premises appliance serves the first one without a token.

use hyper::Method;

use crate::answer::{entropy_limit, parse_entropy, parse_random};
use crate::delivery::{Ask, Delivery, Limits, Ready};
use crate::error::{Failed, FetchError};
use crate::http::{Call, HttpClient};
use crate::inspection::{CredentialVerdict, Inspection};
use crate::settings::{Http, SettingsError};
use crate::{BoxFuture, Source, SystemRoots};

const ENTROPY: &str = "/api/v1/entropy";
const KIB: u32 = 1024;

/// One of Qrypt's APIs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Api {
    Blocks,
    Kibibytes,
}

impl Api {
    fn limits(self) -> Limits {
        match self {
            // The cloud may refuse longer blocks.
            Self::Blocks => Limits {
                block_size: 1..=512,
                ..Limits::COMMON
            },
            // Any ask within these comes to 1 to 512 KiB, which is what the API allows.
            Self::Kibibytes => Limits {
                granularity: KIB,
                ..Limits::COMMON
            },
        }
    }

    /// A request that a service must refuse as malformed, after it looked at the token.
    fn probe(self) -> Call {
        match self {
            Self::Blocks => probe(ENTROPY),
            Self::Kibibytes => get(0, true),
        }
    }
}

/// A source of type `qrypt` or `qrypt-kib`.
pub(crate) struct Qrypt {
    client: HttpClient,
    api: Api,
    /// Whether the older API is used where the service does not know the newer one.
    may_change: bool,
}

impl Qrypt {
    /// Uses the newer API where the service has it.
    pub(crate) fn open(http: Http, roots: &SystemRoots) -> Result<Self, SettingsError> {
        Ok(Self {
            client: HttpClient::new(http, roots)?,
            api: Api::Blocks,
            may_change: true,
        })
    }

    /// Uses the older API alone.
    pub(crate) fn open_older(http: Http, roots: &SystemRoots) -> Result<Self, SettingsError> {
        Ok(Self {
            api: Api::Kibibytes,
            may_change: false,
            ..Self::open(http, roots)?
        })
    }

    async fn fetch_once(&mut self, ask: Ask) -> Result<Delivery, Failed> {
        self.api.limits().check(&ask, self.client.endpoint())?;
        let fetched = match self.api {
            Api::Blocks => post_entropy(&mut self.client, ENTROPY, ask).await,
            Api::Kibibytes => get_entropy(&mut self.client, ask).await,
        };
        fetched.map_err(|failed| self.change_api(failed))
    }

    /// Goes over to the other API where the service does not know this one. Where it knows neither,
    /// the error stands, and the next request begins again with the newer one.
    fn change_api(&mut self, failed: Failed) -> Failed {
        if !self.may_change || !is_unknown(&failed.error) {
            return failed;
        }
        if self.api == Api::Kibibytes {
            self.api = Api::Blocks;
            return failed;
        }
        self.api = Api::Kibibytes;
        let endpoint = self.client.endpoint().to_owned();
        Failed {
            error: FetchError::LimitsFirst { endpoint },
            ..failed
        }
    }

    async fn look(&mut self) -> Inspection {
        let mut seen = Inspection::begin(&mut self.client, self.api.limits()).await;
        seen.try_credential(&mut self.client, &self.api.probe())
            .await;
        if self.may_change
            && matches!(&seen.credential, CredentialVerdict::OutOfOrder(error) if is_unknown(error))
        {
            seen.limits = Api::Kibibytes.limits();
            seen.try_credential(&mut self.client, &Api::Kibibytes.probe())
                .await;
        }
        seen
    }
}

impl Source for Qrypt {
    fn fetch(&mut self, ask: Ask) -> BoxFuture<'_, Result<Delivery, Failed>> {
        Box::pin(self.fetch_once(ask))
    }

    fn limits(&self) -> Limits {
        self.api.limits()
    }

    fn connect(&mut self) -> BoxFuture<'_, Result<Ready, Failed>> {
        Box::pin(async {
            Ok(Ready {
                link: self.client.connect().await?,
                attempts: 0,
            })
        })
    }

    fn inspect(&mut self) -> BoxFuture<'_, Inspection> {
        Box::pin(self.look())
    }
}

/// Whether the service does not know the call.
fn is_unknown(error: &FetchError) -> bool {
    matches!(
        error,
        FetchError::Status {
            status: 404 | 405,
            ..
        }
    )
}

async fn get_entropy(client: &mut HttpClient, ask: Ask) -> Result<Delivery, Failed> {
    let kib = (ask.block_size * ask.block_count).div_ceil(KIB);
    let answer = client.call(&get(kib, ask.spare_attempt)).await?;
    match parse_random(&answer.body, kib) {
        Ok(entropy) => Ok(answer.delivers(entropy)),
        Err(fault) => Err(answer.refuse(client, fault)),
    }
}

fn get(kib: u32, spare_attempt: bool) -> Call {
    Call {
        spare_attempt,
        ..Call::get(
            &format!("/api/v1/quantum-entropy?size={kib}"),
            entropy_limit(KIB, kib),
        )
    }
}

/// Asks for entropy in the way that Qrypt's API and the QRNG Open API share.
pub(crate) async fn post_entropy(
    client: &mut HttpClient,
    path: &str,
    ask: Ask,
) -> Result<Delivery, Failed> {
    let Ask {
        block_size,
        block_count,
        spare_attempt,
    } = ask;
    let call = Call {
        method: Method::POST,
        path: path.to_owned(),
        body: format!(r#"{{"block_size":{block_size},"block_count":{block_count}}}"#),
        answer_limit: entropy_limit(block_size, block_count),
        spare_attempt,
    };
    let answer = client.call(&call).await?;
    match parse_entropy(&answer.body, block_size, block_count) {
        Ok(entropy) => Ok(answer.delivers(entropy)),
        Err(fault) => Err(answer.refuse(client, fault)),
    }
}

/// A request for blocks of no bytes, which a service must refuse as malformed after it looked at
/// the token.
pub(crate) fn probe(path: &str) -> Call {
    Call {
        method: Method::POST,
        path: path.to_owned(),
        body: r#"{"block_size":0,"block_count":1}"#.to_owned(),
        answer_limit: entropy_limit(0, 1),
        spare_attempt: true,
    }
}
