//! The vendor-neutral QRNG Open API: `POST {base}/entropy`, `GET {base}/capabilities`,
//! `GET {base}/healthtest`. Base path and authentication differ by vendor.

use std::sync::Arc;

use crate::answer::{
    AnswerError, Capabilities, REPORT_LIMIT, parse_capabilities, parse_healthtest,
};
use crate::delivery::{Ask, Delivery, Limits, Link, Ready};
use crate::error::{Asked, Failed, FailureClass, FetchError};
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
    /// Since the last delivery a refusal has led to asking for the limits anew.
    doubted: bool,
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
            doubted: false,
        })
    }

    fn known_limits(&self) -> Limits {
        self.told.clone().unwrap_or(Limits::COMMON)
    }

    /// Asks for the service's limits, once. A service that does not tell them, or tells them in
    /// another form, is asked for entropy within the common ones.
    ///
    /// A second request where the kept connection was closed meanwhile needs `spare_attempt`.
    async fn learn(&mut self, spare_attempt: bool) -> Result<Ready, Failed> {
        let call = Call {
            spare_attempt,
            ..Call::get(CAPABILITIES, REPORT_LIMIT)
        };
        let told = match self.capabilities(&call).await {
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

    async fn capabilities(&mut self, call: &Call) -> Result<Told<Capabilities>, Failed> {
        let asked = Asked::Capabilities;
        ask(&mut self.client, call, asked, parse_capabilities).await
    }

    async fn fetch_within(&mut self, ask: Ask) -> Result<Delivery, Failed> {
        let asked = match self.told {
            Some(_) => 0,
            None => self.learn_for(ask).await?,
        };
        let request = Ask {
            // What was asked for the limits took the spare one's place.
            spare_attempt: ask.spare_attempt && asked == 0,
            ..ask
        };
        let fetched = match self.known_limits().check(&ask, self.client.endpoint()) {
            Ok(()) => post_entropy(&mut self.client, ENTROPY, request).await,
            Err(outside) => Err(outside),
        };
        match fetched {
            Ok(delivery) => {
                self.doubted = false;
                Ok(Delivery {
                    attempts: delivery.attempts + asked,
                    ..delivery
                })
            }
            Err(failed) => Err(Failed {
                attempts: failed.attempts + asked,
                ..self.doubt(failed, asked > 0)
            }),
        }
    }

    /// A request that was refused as malformed was perhaps within limits that have changed: once,
    /// they are asked for anew instead of taking the refusal as the service's last word.
    fn doubt(&mut self, failed: Failed, just_learnt: bool) -> Failed {
        let FetchError::Status {
            status: 400 | 422, ..
        } = failed.error
        else {
            return failed;
        };
        self.told = None;
        if std::mem::replace(&mut self.doubted, true) || just_learnt {
            return failed;
        }
        let endpoint = self.client.endpoint().to_owned();
        Failed {
            error: FetchError::LimitsFirst { endpoint },
            ..failed
        }
    }

    /// Asks for the limits before a fetch. That is a request as well: where only one may be sent,
    /// the fetch has to wait for the next time. Returns the requests that were sent.
    async fn learn_for(&mut self, ask: Ask) -> Result<u32, Failed> {
        let Ready { link, attempts } = self.learn(false).await?;
        let endpoint = self.client.endpoint();
        let failed = match self.known_limits().check(&ask, endpoint) {
            Ok(()) if ask.spare_attempt => return Ok(attempts),
            Ok(()) => Failed::early(FetchError::LimitsFirst {
                endpoint: endpoint.to_owned(),
            }),
            Err(outside) => outside,
        };
        Err(Failed {
            attempts,
            link,
            ..failed
        })
    }

    async fn look(&mut self) -> Inspection {
        let limits = self.known_limits();
        let mut seen = Inspection::begin(&mut self.client, limits).await;
        if seen.reached.is_err() {
            return seen;
        }
        let call = Call::get(CAPABILITIES, REPORT_LIMIT);
        let told = self.capabilities(&call).await;
        seen.capabilities = note(told, &mut seen.attempts);
        if let Some(Ok(told)) = &seen.capabilities {
            seen.limits = told.limits.clone();
            self.told = Some(told.limits.clone());
        }
        let call = Call::get(HEALTH, REPORT_LIMIT);
        let asked = Asked::HealthTests;
        let told = ask(&mut self.client, &call, asked, parse_healthtest).await;
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
                return self.learn(true).await;
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
    call: &Call,
    asked: Asked,
    parse: fn(&[u8]) -> Result<T, AnswerError>,
) -> Result<Told<T>, Failed> {
    let refused = |failed: Failed| Failed {
        error: failed.error.when_asked_for(asked),
        ..failed
    };
    match client.call(call).await {
        Ok(answer) => match parse(&answer.body) {
            Ok(told) => Ok(Told {
                answer: Some(told),
                link: answer.link,
                attempts: answer.attempts,
            }),
            Err(fault) => Err(refused(answer.refuse(client, fault))),
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
        Err(failed) => Err(refused(failed)),
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
