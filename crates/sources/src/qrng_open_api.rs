//! The vendor-neutral QRNG Open API: `POST {base}/entropy`, `GET {base}/capabilities`,
//! `GET {base}/healthtest`. Base path and authentication differ by vendor.

use qseed_entropy::Entropy;
use qseed_model::{FetchFault, Limits};

use crate::answer::{
    AnswerError, Capabilities, REPORT_LIMIT, parse_capabilities, parse_entropy, parse_healthtest,
};
use crate::error::FetchError;
use crate::http::{Call, HttpClient};
use crate::inspection::Inspection;
use crate::link::Traffic;
use crate::qrypt::{post, probe};
use crate::settings::Http;
use crate::{Ask, BoxFuture, Source, SystemRoots};

/// A source of type `qrng-open-api`.
pub(crate) struct QrngOpenApi {
    client: HttpClient,
    /// What the service allows; `None` until it was asked.
    told: Option<Limits>,
    /// Since the last delivery a refusal has led to asking for the limits again.
    doubted: bool,
}

impl QrngOpenApi {
    pub(crate) fn open(http: Http, roots: &SystemRoots) -> Self {
        Self {
            client: HttpClient::new(http, roots),
            told: None,
            doubted: false,
        }
    }

    /// Asks for the service's limits. A service that does not tell them, or tells them in another
    /// form, is asked for entropy within the common ones.
    async fn learn(&mut self, spare_attempt: bool) -> Result<(), FetchError> {
        let told = match self.capabilities(spare_attempt).await {
            Err(error) if matches!(error.kind(), FetchFault::Invalid(_)) => None,
            told => told?,
        };
        self.told = Some(told.map_or(Limits::COMMON, |told| told.limits));
        Ok(())
    }

    async fn capabilities(
        &mut self,
        spare_attempt: bool,
    ) -> Result<Option<Capabilities>, FetchError> {
        let call = Call {
            spare_attempt,
            ..Call::get("/capabilities".to_owned(), REPORT_LIMIT)
        };
        let asked = "a list of capabilities";
        self.report(&call, asked, parse_capabilities).await
    }

    /// What the service tells of itself, or `None` if it does not offer that.
    async fn report<T>(
        &mut self,
        call: &Call,
        asked: &'static str,
        parse: fn(&[u8]) -> Result<T, AnswerError>,
    ) -> Result<Option<T>, FetchError> {
        match self.client.ask(call, asked, parse).await {
            Err(FetchError::Status {
                status: 400 | 404 | 405 | 410 | 422 | 501,
                ..
            }) => Ok(None),
            told => told.map(Some),
        }
    }
}

impl Source for QrngOpenApi {
    fn fetch(&mut self, ask: Ask) -> BoxFuture<'_, Result<Entropy, FetchError>> {
        Box::pin(async move {
            let just_learnt = self.told.is_none();
            if just_learnt {
                self.learn(false).await?;
            }
            // To ask for the limits was a request as well: if only one may be sent, the fetch has
            // to wait for the next time.
            if !self.limits().allow(ask.shape) || (just_learnt && !ask.spare_attempt) {
                return Err(FetchError::Limits);
            }
            let spare_attempt = ask.spare_attempt && !just_learnt;
            let call = post(
                "/entropy",
                Ask {
                    spare_attempt,
                    ..ask
                },
            );
            let parse = |body: &[u8]| parse_entropy(body, ask.shape);
            let fetched = self.client.ask(&call, "the asked entropy", parse).await;
            match &fetched {
                Ok(_) => self.doubted = false,
                // The request was perhaps within limits that have changed: once, ask for them
                // again before the refusal counts as the service's last word.
                Err(FetchError::Status {
                    status: 400 | 422, ..
                }) => {
                    self.told = None;
                    if !std::mem::replace(&mut self.doubted, true) && !just_learnt {
                        return Err(FetchError::Limits);
                    }
                }
                Err(_) => {}
            }
            fetched
        })
    }

    fn limits(&self) -> Limits {
        self.told.unwrap_or(Limits::COMMON)
    }

    fn connect(&mut self) -> BoxFuture<'_, Result<(), FetchError>> {
        Box::pin(async {
            match self.told {
                None => self.learn(true).await,
                Some(_) => self.client.connect().await,
            }
        })
    }

    fn inspect(&mut self) -> BoxFuture<'_, Inspection> {
        Box::pin(async {
            let limits = self.limits();
            let mut seen = Inspection::begin(&mut self.client, limits).await;
            if seen.reached.is_err() {
                return seen;
            }
            seen.capabilities = self.capabilities(true).await.transpose();
            if let Some(Ok(told)) = &seen.capabilities {
                seen.limits = told.limits;
                self.told = Some(told.limits);
            }
            let call = Call::get("/healthtest".to_owned(), REPORT_LIMIT);
            let asked = "a list of health tests";
            let health = self.report(&call, asked, parse_healthtest).await;
            seen.health = health.transpose();
            let client = &mut self.client;
            seen.try_credential(client, &probe("/entropy")).await;
            seen
        })
    }

    fn take_traffic(&mut self) -> Traffic {
        self.client.take_traffic()
    }
}
