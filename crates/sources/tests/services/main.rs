//! The adapters against the simulated services, over real HTTP and TLS.

mod abandoned;
mod devices;
mod faults;
mod kept;
mod link;
mod open_api;
mod qrypt;
mod wire;

use std::path::PathBuf;
use std::time::Duration;

use qseed_entropy::Entropy;
use qseed_entropy_service::{EntropyService, Options};
use qseed_http::{Auth, Http, SystemRoots, Tls};
use qseed_model::{Shape, Url};
use qseed_secrets::SecretRef;
use qseed_sources::{Ask, FetchError, Settings, Source, open};

/// No test waits for this: it is long enough for the busiest machine.
const PATIENT: Duration = Duration::from_secs(30);

/// For tests in which the time must run out.
const SHORT: Duration = Duration::from_millis(400);

const TOKEN: &str = "hunter2-access-token";

fn spawn(options: Options) -> EntropyService {
    EntropyService::spawn(options).expect("the simulator starts")
}

/// How to reach a service under one of its urls.
fn http(url: &str, tls: Tls) -> Http {
    Http {
        url: Url::parse(url).expect("a url"),
        tls,
        auth: Auth::None,
        timeout: PATIENT,
    }
}

fn plain(service: &EntropyService) -> Http {
    http(&service.url(), Tls::default())
}

fn tls(service: &EntropyService) -> Tls {
    Tls {
        ca: service.ca_path(),
        ..Tls::default()
    }
}

fn secure(service: &EntropyService) -> Http {
    http(&service.url(), tls(service))
}

fn source(settings: Settings) -> Box<dyn Source> {
    open(settings, &SystemRoots::default())
}

fn qrypt(http: Http) -> Box<dyn Source> {
    source(Settings::Qrypt(http))
}

/// Fetches until the answer is another than that the time ran out: even a good one may take longer than
/// [`SHORT`] on a busy machine.
async fn fetch_in_time(source: &mut dyn Source, ask: Ask) -> Result<Entropy, FetchError> {
    loop {
        match source.fetch(ask).await {
            Err(late) if late.code() == "timeout" => {}
            other => return other,
        }
    }
}

/// The requests that a source has sent since the last call.
fn sent(source: &mut dyn Source) -> u32 {
    source.take_traffic().sent
}

fn bearer(token: &str) -> Auth {
    Auth::Bearer(SecretRef::parse(token).expect("a literal"))
}

fn token_file(path: impl Into<PathBuf>) -> Auth {
    Auth::Bearer(SecretRef::File(path.into()))
}

fn ask(block_size: u32, block_count: u32) -> Ask {
    let shape = Shape {
        block_size,
        block_count,
    };
    Ask {
        shape,
        spare_attempt: true,
    }
}
