//! Qrypt's older API: `GET {base}/api/v1/quantum-entropy?size=KIB`, whose grain is 1 KiB. What is
//! delivered beyond the asked bytes is the caller's to keep for the next seeds.

use hyper::Method;

use crate::answer::{entropy_limit, parse_random};
use crate::delivery::{Ask, Delivery, Limits, Ready};
use crate::error::Failed;
use crate::http::{Call, HttpClient};
use crate::inspection::Inspection;
use crate::settings::{Http, SettingsError};
use crate::{BoxFuture, Source, SystemRoots};

const KIB: u32 = 1024;

/// Any ask within these comes to 1 to 512 KiB, which is what the API allows.
const LIMITS: Limits = Limits {
    granularity: KIB,
    ..Limits::COMMON
};

/// A source of type `qrypt-kib`.
pub(crate) struct QryptKib {
    client: HttpClient,
}

impl QryptKib {
    pub(crate) fn open(http: Http, roots: &SystemRoots) -> Result<Self, SettingsError> {
        Ok(Self {
            client: HttpClient::new(http, roots)?,
        })
    }
}

impl Source for QryptKib {
    fn fetch(&mut self, ask: Ask) -> BoxFuture<'_, Result<Delivery, Failed>> {
        Box::pin(async move {
            LIMITS.check(&ask, self.client.endpoint())?;
            let kib = (ask.block_size * ask.block_count).div_ceil(KIB);
            let answer = self.client.call(&get(kib, ask.spare_attempt)).await?;
            match parse_random(&answer.body, kib) {
                Ok(entropy) => Ok(answer.delivers(entropy)),
                Err(fault) => Err(answer.refuse(&self.client, fault)),
            }
        })
    }

    fn limits(&self) -> Limits {
        LIMITS
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
            let mut seen = Inspection::begin(&mut self.client, LIMITS).await;
            // Nothing of nothing: refused as malformed, after the token was looked at.
            seen.try_credential(&mut self.client, &get(0, true)).await;
            seen
        })
    }
}

fn get(kib: u32, spare_attempt: bool) -> Call {
    Call {
        method: Method::GET,
        path: format!("/api/v1/quantum-entropy?size={kib}"),
        body: String::new(),
        answer_limit: entropy_limit(KIB, kib),
        spare_attempt,
    }
}
