//! Qrypt's current API: `POST {base}/api/v1/entropy` with a bearer token. The on-premises
//! appliance serves the same without a token.

use hyper::Method;

use crate::answer::{entropy_limit, parse_entropy};
use crate::delivery::{Ask, Delivery, Limits, Ready};
use crate::error::Failed;
use crate::http::{Call, HttpClient};
use crate::inspection::Inspection;
use crate::settings::{Http, SettingsError};
use crate::{BoxFuture, Source, SystemRoots};

const ENTROPY: &str = "/api/v1/entropy";

/// A source of type `qrypt`.
pub(crate) struct Qrypt {
    client: HttpClient,
}

impl Qrypt {
    pub(crate) fn open(http: Http, roots: &SystemRoots) -> Result<Self, SettingsError> {
        Ok(Self {
            client: HttpClient::new(http, roots)?,
        })
    }
}

impl Source for Qrypt {
    fn fetch(&mut self, ask: Ask) -> BoxFuture<'_, Result<Delivery, Failed>> {
        Box::pin(async move {
            Limits::COMMON.check(&ask, self.client.endpoint())?;
            post_entropy(&mut self.client, ENTROPY, ask).await
        })
    }

    fn limits(&self) -> Limits {
        Limits::COMMON
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
        Box::pin(async {
            let mut seen = Inspection::begin(&mut self.client, Limits::COMMON).await;
            seen.try_credential(&mut self.client, &probe(ENTROPY)).await;
            seen
        })
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

/// A request that a service must refuse as malformed, after it looked at the token: blocks of no
/// bytes. So it shows whether the token is taken, and costs no entropy.
pub(crate) fn probe(path: &str) -> Call {
    Call {
        method: Method::POST,
        path: path.to_owned(),
        body: r#"{"block_size":0,"block_count":1}"#.to_owned(),
        answer_limit: entropy_limit(0, 1),
        spare_attempt: true,
    }
}
