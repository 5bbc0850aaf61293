//! The vendor-neutral QRNG Open API: `POST {base}/entropy`, `GET {base}/capabilities`,
//! `GET {base}/healthtest`. Base path and authentication differ by vendor.

use std::sync::Arc;

use crate::answer::{AnswerError, REPORT_LIMIT, parse_capabilities, parse_healthtest};
use crate::delivery::{Ask, Delivery, Limits, Link, Ready};
use crate::error::{Failed, FailureClass, FetchError};
use crate::http::{Call, HttpClient};
use crate::inspection::Inspection;
use crate::qrypt::{post_entropy, probe};
use crate::settings::{Http, SettingsError};
use crate::{BoxFuture, Source, SystemRoots};

const ENTROPY: &str = "/entropy";
const CAPABILITIES: &str = "/capabilities";
const HEALTH: &str = "/healthtest";

/// A source of type `qrng-open-api`.
pub(crate) struct QrngOpenApi {
    client: HttpClient,
    /// What the service allows; `None` until it was asked.
    told: Option<Limits>,
}

/// What a question that costs no entropy brought.
struct Told<T> {
    /// `None` where the service does not offer it.
    answer: Option<T>,
    link: Option<Arc<Link>>,
    attempts: u32,
}

impl QrngOpenApi {
    pub(crate) fn open(http: Http, roots: &SystemRoots) -> Result<Self, SettingsError> {
        Ok(Self {
            client: HttpClient::new(http, roots)?,
            told: None,
        })
    }

    fn known_limits(&self) -> Limits {
        self.told.clone().unwrap_or(Limits::COMMON)
    }

    /// Asks for the service's limits, once. A service that does not tell them, or tells them in
    /// another form, is asked for entropy within the common ones.
    async fn learn(&mut self) -> Result<Ready, Failed> {
        let told = match ask(&mut self.client, CAPABILITIES, parse_capabilities).await {
            Err(Failed {
                error,
                link,
                attempts,
                ..
            }) if error.class() == FailureClass::Invalid => Told {
                answer: None,
                link,
                attempts,
            },
            told => told?,
        };
        self.told = Some(told.answer.map_or(Limits::COMMON, |told| told.limits));
        Ok(Ready {
            link: told.link,
            attempts: told.attempts,
        })
    }

    async fn fetch_within(&mut self, ask: Ask) -> Result<Delivery, Failed> {
        let mut asked = 0;
        // The question is a request as well, so it takes the spare one's place.
        let spare_attempt = ask.spare_attempt && self.told.is_some();
        if ask.spare_attempt && self.told.is_none() {
            asked = self.learn().await?.attempts;
        }
        let fetched = match self.known_limits().check(&ask, self.client.endpoint()) {
            Ok(()) => {
                post_entropy(
                    &mut self.client,
                    ENTROPY,
                    Ask {
                        spare_attempt,
                        ..ask
                    },
                )
                .await
            }
            Err(outside) => Err(outside),
        };
        match fetched {
            Ok(delivery) => Ok(Delivery {
                attempts: delivery.attempts + asked,
                ..delivery
            }),
            Err(failed) => {
                // Perhaps the limits have changed: ask for them before the next request.
                if let FetchError::Status {
                    status: 400 | 422, ..
                } = failed.error
                {
                    self.told = None;
                }
                Err(Failed {
                    attempts: failed.attempts + asked,
                    ..failed
                })
            }
        }
    }

    async fn look(&mut self) -> Inspection {
        let limits = self.known_limits();
        let mut seen = Inspection::begin(&mut self.client, limits).await;
        if seen.reached.is_err() {
            return seen;
        }
        let told = ask(&mut self.client, CAPABILITIES, parse_capabilities).await;
        seen.capabilities = note(told, &mut seen.attempts);
        if let Some(Ok(told)) = &seen.capabilities {
            seen.limits = told.limits.clone();
            self.told = Some(told.limits.clone());
        }
        let told = ask(&mut self.client, HEALTH, parse_healthtest).await;
        seen.health = note(told, &mut seen.attempts);
        seen.try_credential(&mut self.client, &probe(ENTROPY)).await;
        seen
    }
}

impl Source for QrngOpenApi {
    fn fetch(&mut self, ask: Ask) -> BoxFuture<'_, Result<Delivery, Failed>> {
        Box::pin(self.fetch_within(ask))
    }

    fn limits(&self) -> Limits {
        self.known_limits()
    }

    fn connect(&mut self) -> BoxFuture<'_, Result<Ready, Failed>> {
        Box::pin(async {
            if self.told.is_none() {
                return self.learn().await;
            }
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

async fn ask<T>(
    client: &mut HttpClient,
    path: &str,
    parse: fn(&[u8]) -> Result<T, AnswerError>,
) -> Result<Told<T>, Failed> {
    match client.call(&Call::get(path, REPORT_LIMIT)).await {
        Ok(answer) => match parse(&answer.body) {
            Ok(told) => Ok(Told {
                answer: Some(told),
                link: answer.link,
                attempts: answer.attempts,
            }),
            Err(fault) => Err(answer.refuse(client, fault)),
        },
        Err(Failed {
            error,
            link,
            attempts,
            ..
        }) if is_not_offered(&error) => Ok(Told {
            answer: None,
            link,
            attempts,
        }),
        Err(failed) => Err(failed),
    }
}

fn is_not_offered(error: &FetchError) -> bool {
    matches!(
        error,
        FetchError::Status {
            status: 400 | 404 | 405 | 410 | 422 | 501,
            ..
        }
    )
}

/// For an inspection: the answer or why there is none, and the requests that it took.
fn note<T>(told: Result<Told<T>, Failed>, attempts: &mut u32) -> Option<Result<T, FetchError>> {
    match told {
        Ok(told) => {
            *attempts += told.attempts;
            told.answer.map(Ok)
        }
        Err(failed) => {
            *attempts += failed.attempts;
            Some(Err(failed.error))
        }
    }
}
