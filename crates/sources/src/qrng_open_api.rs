//! The vendor-neutral QRNG Open API: `POST {base}/entropy`, `GET {base}/capabilities`,
//! `GET {base}/healthtest`. Base path and authentication differ by vendor.

use qseed_entropy::Entropy;
use qseed_http::{Call, Http, HttpClient, SystemRoots, Traffic};
use qseed_model::{FetchFault, Limits};

use crate::answer::{
    AnswerError, Capabilities, REPORT_LIMIT, parse_capabilities, parse_entropy, parse_healthtest,
};
use crate::ask;
use crate::error::FetchError;
use crate::inspection::Inspection;
use crate::qrypt::{post, probe};
use crate::{Ask, BoxFuture, Source};

/// A source of type `qrng-open-api`.
pub(crate) struct QrngOpenApi {
    client: HttpClient,
    /// What the service allows; `None` until it has answered that.
    learnt: Option<Limits>,
    /// A refusal has led to asking for the limits again, and no delivery followed yet.
    asked_again: bool,
}

impl QrngOpenApi {
    pub(crate) fn open(http: Http, roots: &SystemRoots) -> Self {
        Self {
            client: HttpClient::new(http, roots),
            learnt: None,
            asked_again: false,
        }
    }

    /// Asks for the service's limits. If it does not offer them, or in another form, the common
    /// ones hold.
    async fn learn(&mut self, spare_attempt: bool) -> Result<(), FetchError> {
        let told = match self.capabilities(spare_attempt).await {
            Err(error) if matches!(error.kind(), FetchFault::Invalid(_)) => None,
            told => told?,
        };
        self.learnt = Some(told.map_or(Limits::COMMON, |told| told.limits));
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

    /// The service's capabilities, or `None` if it does not announce them.
    async fn report<T>(
        &mut self,
        call: &Call,
        asked: &'static str,
        parse: fn(&[u8]) -> Result<T, AnswerError>,
    ) -> Result<Option<T>, FetchError> {
        match ask::ask(&mut self.client, call, asked, parse).await {
            Err(error) if matches!(error.status(), Some(400 | 404 | 405 | 410 | 422 | 501)) => {
                Ok(None)
            }
            told => told.map(Some),
        }
    }
}

impl Source for QrngOpenApi {
    fn fetch(&mut self, ask: Ask) -> BoxFuture<'_, Result<Entropy, FetchError>> {
        Box::pin(async move {
            let just_learnt = self.learnt.is_none();
            if just_learnt {
                self.learn(false).await?;
            }
            // Asking for the limits took a request. If only one may be sent, entropy has to wait
            // for the next fetch.
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
            let fetched = ask::ask(&mut self.client, &call, "the asked entropy", parse).await;
            match &fetched {
                Ok(_) => self.asked_again = false,
                // The limits may have changed: ask for them once more before the refusal counts.
                Err(error) if matches!(error.status(), Some(400 | 422)) => {
                    self.learnt = None;
                    if !std::mem::replace(&mut self.asked_again, true) && !just_learnt {
                        return Err(FetchError::Limits);
                    }
                }
                Err(_) => {}
            }
            fetched
        })
    }

    fn limits(&self) -> Limits {
        self.learnt.unwrap_or(Limits::COMMON)
    }

    fn connect(&mut self) -> BoxFuture<'_, Result<(), FetchError>> {
        Box::pin(async {
            match self.learnt {
                None => self.learn(true).await,
                Some(_) => Ok(self.client.connect().await?),
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
                self.learnt = Some(told.limits);
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
