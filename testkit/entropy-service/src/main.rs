//! The simulator of the entropy services as a program.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use base64::Engine;
use clap::{ArgAction, Parser, ValueEnum};
use qseed_entropy_service::{
    Certificate, ENTROPY_ORIGIN, EntropyService, FAULT_NOTATIONS, FaultOrder, Groups, Limits,
    Options, RateLimit, Scope, StartError, parse_duration,
};
use tokio::signal::unix::{SignalKind, signal};

/// Simulates entropy services: Qrypt's interfaces and the QRNG Open API.
///
/// Its entropy comes from the local kernel, for tests; it is not quantum. It misbehaves on demand
/// and remembers what it served.
#[derive(Parser)]
#[command(name = "entropy-service", version, after_help = fault_help())]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
struct Arguments {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Base path of the QRNG Open API
    #[arg(long, value_name = "PATH", default_value = "/v1")]
    base: String,
    /// Speak TLS with a certificate by a test CA made at start
    #[arg(long)]
    tls: bool,
    /// Offer no post-quantum key exchange (implies --tls)
    #[arg(long, conflicts_with = "hybrid_only")]
    classical: bool,
    /// Offer no classical key exchange (implies --tls)
    #[arg(long)]
    hybrid_only: bool,
    /// Speak TLS 1.2 only (implies --tls)
    #[arg(long, conflicts_with = "hybrid_only")]
    tls12: bool,
    /// good, expired, not-yet-valid, wrong-name, other-authority, self-signed,
    /// self-signed-expired, self-signed-wrong-name, expires-in=TIME (implies --tls)
    #[arg(long, value_name = "KIND")]
    certificate: Option<Certificate>,
    /// Let in only clients with a certificate by the test CA (implies --tls)
    #[arg(long)]
    mutual_tls: bool,
    /// Folder for ca.pem, server.pem, client.pem and client.key, else a temporary one
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Answer 401 without this bearer token
    #[arg(long)]
    token: Option<String>,
    /// Answer 401 without this X-API-KEY; with --token, either will do
    #[arg(long, value_name = "KEY")]
    api_key: Option<String>,
    /// Answer 429 beyond this rate, for example 30/10s
    #[arg(long, value_name = "REQUESTS/TIME")]
    rate: Option<RateLimit>,
    /// Leave Retry-After out of such answers
    #[arg(long, requires = "rate")]
    no_retry_after: bool,
    /// Largest block that is served, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().max_block_size)]
    max_block_size: u32,
    /// Largest number of blocks (KiB in the older interface) in a request
    #[arg(long, value_name = "COUNT", default_value_t = Limits::default().max_block_count)]
    max_block_count: u32,
    /// Let each answer wait this long
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    latency: Option<Duration>,
    /// Misbehave so, until cleared or for the next N answers; may be repeated
    #[arg(long = "fault", value_name = "NAME[=ARG][*N]", action = ArgAction::Append)]
    faults: Vec<FaultOrder>,
    /// Which answers faults befall
    #[arg(long, value_enum, default_value_t = FaultsOn::Entropy)]
    faults_on: FaultsOn,
    /// Open the administration interface (plain HTTP, for loopback) on this address
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<SocketAddr>,
    /// Answer POST /api/v1/entropy with this status (404, 405): the older interface alone
    #[arg(long, value_name = "STATUS")]
    older_api: Option<u16>,
    /// Keep counts only, not each answer
    #[arg(long)]
    forget: bool,
    /// Print the line at start as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum FaultsOn {
    /// Those with entropy
    Entropy,
    /// Those of capabilities and healthtest too
    Everything,
}

/// The faults' names for `--help`.
fn fault_help() -> String {
    let mut help = "Faults, with the arguments that they have by default:\n".to_owned();
    for (notation, meaning) in FAULT_NOTATIONS {
        writeln!(help, "  {notation:<24}{meaning}").expect("a String takes any text");
    }
    help
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("entropy-service: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), StartError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.map_err(StartError::Thread)?.block_on(async {
        // Before the line is printed: its reader may send the signal at once.
        let mut interrupt = signal(SignalKind::interrupt()).map_err(StartError::Thread)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(StartError::Thread)?;
        let service = EntropyService::start(options(arguments)).await?;
        let line = if arguments.json {
            start_json(arguments, &service)
        } else {
            start_text(arguments, &service)
        };
        // A closed standard output is no reason to stop.
        let _ = writeln!(std::io::stdout(), "{line}");
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        Ok(())
    })
}

fn options(arguments: &Arguments) -> Options {
    let limits = Limits {
        max_block_size: arguments.max_block_size,
        max_block_count: arguments.max_block_count,
    };
    let mut options = Options::default()
        .listen(arguments.listen)
        .base(&arguments.base);
    options = with_tls(arguments, options).limits(limits);
    if let Some(token) = &arguments.token {
        options = options.token(token);
    }
    if let Some(key) = &arguments.api_key {
        options = options.api_key(key);
    }
    if let Some(rate) = arguments.rate {
        let quiet = arguments.no_retry_after;
        options = options.rate_limit(if quiet {
            rate.without_retry_after()
        } else {
            rate
        });
    }
    if let Some(latency) = arguments.latency {
        options = options.latency(latency);
    }
    if let Some(admin) = arguments.admin {
        options = options.admin(admin);
    }
    if let Some(status) = arguments.older_api {
        options = options.older_api(status);
    }
    if arguments.forget {
        options = options.forget();
    }
    let scope = match arguments.faults_on {
        FaultsOn::Entropy => Scope::Entropy,
        FaultsOn::Everything => Scope::Everything,
    };
    arguments
        .faults
        .iter()
        .cloned()
        .fold(options.scope(scope), Options::order)
}

fn with_tls(arguments: &Arguments, mut options: Options) -> Options {
    if arguments.tls {
        options = options.tls();
    }
    if arguments.classical {
        options = options.classical_only();
    }
    if arguments.hybrid_only {
        options = options.groups(Groups::HybridOnly);
    }
    if arguments.tls12 {
        options = options.tls12_only();
    }
    if let Some(certificate) = arguments.certificate {
        options = options.certificate(certificate);
    }
    if arguments.mutual_tls {
        options = options.require_client_certificate();
    }
    match &arguments.state {
        Some(folder) => options.state(folder),
        None => options,
    }
}

fn start_text(arguments: &Arguments, service: &EntropyService) -> String {
    let mut line = format!("entropy-service: {}", service.url());
    let mut add = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            write!(line, ", {name} {value}").expect("a String takes any text");
        }
    };
    add(
        "CA",
        service.ca_path().map(|path| path.display().to_string()),
    );
    add("token", arguments.token.clone());
    add("API key", arguments.api_key.clone());
    add("administration", service.admin_url());
    line + &format!("; entropy: {ENTROPY_ORIGIN}")
}

fn start_json(arguments: &Arguments, service: &EntropyService) -> String {
    let pin = service.spki_sha256();
    serde_json::json!({
        "url": service.url(),
        "open_api_url": service.open_api_url(),
        "admin": service.admin_url(),
        "ca": service.ca_path(),
        "client_cert": service.client_certificate_path(),
        "client_key": service.client_key_path(),
        "pin_sha256": pin.map(|pin| base64::engine::general_purpose::STANDARD.encode(pin)),
        "token": arguments.token,
        "api_key": arguments.api_key,
        "entropy": ENTROPY_ORIGIN,
    })
    .to_string()
}
