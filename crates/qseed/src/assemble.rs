//! From the configuration to what each part needs: numbers for the engine, settings for sources,
//! messages for workers.

mod budgets;
mod load;
mod rate_limits;

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;

use qseed_config as config;
use qseed_engine as engine;
use qseed_engine::{ModuleId, PartitionId, SourceId};
use qseed_secrets::{Secret, SecretRef};
use qseed_sources as sources;
use qseed_tokens::uri::TokenUri;
use qseed_tokens::wire::{Open, PinSource, TokenChoice};

use crate::exit::{Code, Failure};

pub(crate) use budgets::{SmallBudget, small_budgets};
pub(crate) use load::load;
pub(crate) use rate_limits::shortfalls;

/// Up to this many partitions, each injection is a line of the log.
const EACH_UP_TO: usize = 100;

/// The configuration with the engine's numbers beside its names.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) config: config::Config,
    pub(crate) sources: BTreeMap<SourceId, PlannedSource>,
    pub(crate) modules: BTreeMap<ModuleId, config::Module>,
    pub(crate) partitions: BTreeMap<PartitionId, Planned>,
}

/// A source with a number that changes when its settings do.
#[derive(Debug)]
pub(crate) struct PlannedSource {
    pub(crate) config: config::Source,
    pub(crate) revision: u64,
}

/// A partition with what its worker needs to know.
#[derive(Debug)]
pub(crate) struct Planned {
    pub(crate) config: config::Partition,
    pub(crate) token: TokenChoice,
}

/// Hands out numbers, and the same ones again to what has not changed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Numbers {
    last: u32,
    sources: BTreeMap<String, (SourceId, u64, config::Source)>,
    modules: BTreeMap<std::path::PathBuf, u32>,
    partitions: HashMap<String, (config::Partition, u32)>,
}

impl Numbers {
    fn new_number(&mut self) -> u32 {
        self.last += 1;
        self.last
    }

    fn source(&mut self, source: &config::Source) -> (SourceId, u64) {
        let (id, revision) = match self.sources.get(&source.name) {
            Some((id, revision, known)) if known.kind == source.kind => (*id, *revision),
            Some((id, revision, _)) => (*id, revision + 1),
            None => (SourceId(self.new_number()), 0),
        };
        self.sources
            .insert(source.name.clone(), (id, revision, source.clone()));
        (id, revision)
    }

    fn module(&mut self, path: &Path) -> ModuleId {
        let number = match self.modules.get(path) {
            Some(number) => *number,
            None => self.new_number(),
        };
        self.modules.insert(path.to_owned(), number);
        ModuleId(number)
    }

    /// A partition keeps its number while only its size and period change.
    fn partition(&mut self, partition: &config::Partition) -> PartitionId {
        let known = self.partitions.get(&partition.name);
        let known = known.filter(|(known, _)| known.is_same_session(partition));
        PartitionId(match known {
            Some((_, number)) => *number,
            None => self.new_number(),
        })
    }
}

impl Plan {
    /// Numbers everything in `config`, whose literal PINs have been taken out.
    ///
    /// # Errors
    /// A token URI that is not one, where `config` was not read by [`load()`], which finds them.
    pub(crate) fn new(
        config: config::Config,
        file: &Path,
        numbers: &mut Numbers,
    ) -> Result<Self, Failure> {
        let mut faults = Vec::new();
        let mut partitions = BTreeMap::new();
        let mut numbered = HashMap::with_capacity(config.partitions.len());
        for partition in &config.partitions {
            match token_choice(&partition.token) {
                Ok(token) => {
                    let id = numbers.partition(partition);
                    numbered.insert(partition.name.clone(), (partition.clone(), id.0));
                    partitions.insert(
                        id,
                        Planned {
                            config: partition.clone(),
                            token,
                        },
                    );
                }
                Err(why) => {
                    let config::Place { line, column } = partition.position;
                    let name = &partition.name;
                    faults.push(format!(
                        "{}:{line}:{column}: partition {name}: token: {why}",
                        file.display()
                    ));
                }
            }
        }
        if !faults.is_empty() {
            return Err(Failure::new(Code::Configuration, faults.join("\n")));
        }
        numbers.partitions = numbered;
        let sources = config
            .sources
            .iter()
            .map(|source| {
                let (id, revision) = numbers.source(source);
                (
                    id,
                    PlannedSource {
                        config: source.clone(),
                        revision,
                    },
                )
            })
            .collect();
        let used: std::collections::BTreeSet<_> = config
            .partitions
            .iter()
            .map(|partition| partition.module.as_path())
            .collect();
        let modules = config
            .modules
            .iter()
            .filter(|module| used.contains(module.path.as_path()))
            .map(|module| (numbers.module(&module.path), module.clone()))
            .collect();
        Ok(Self {
            config,
            sources,
            modules,
            partitions,
        })
    }

    /// What the engine needs to know.
    pub(crate) fn engine_settings(&self) -> engine::Settings {
        let module_ids: BTreeMap<_, _> = self
            .modules
            .iter()
            .map(|(id, module)| (module.path.as_path(), *id))
            .collect();
        let in_order = |name: &str| self.config.sources.iter().position(|s| s.name == name);
        let mut sources: Vec<_> = self
            .sources
            .iter()
            .map(|(id, source)| source_settings(*id, source))
            .collect();
        sources.sort_by_key(|source| in_order(&source.name));
        engine::Settings {
            sources,
            combine: self.config.combine,
            mix_local: self.config.mix_local,
            reserve: self.config.reserve,
            modules: self
                .modules
                .iter()
                .map(|(id, module)| engine::ModuleSettings {
                    id: *id,
                    name: module.path.to_string_lossy().into(),
                    deadline: module.deadline,
                    concurrency: module.concurrency,
                    revision: fingerprint(&(
                        &module.environment,
                        &module.init_args,
                        module.concurrency,
                        module.output,
                    )),
                })
                .collect(),
            partitions: self
                .partitions
                .iter()
                .map(|(id, planned)| engine::PartitionSettings {
                    id: *id,
                    name: Arc::from(planned.config.name.as_str()),
                    module: module_ids[planned.config.module.as_path()],
                    size: planned.config.size,
                    period: planned.config.period,
                })
                .collect(),
        }
    }

    /// Whether injections are summed up once a minute instead of said one by one.
    pub(crate) fn sums_up(&self) -> bool {
        match self.config.log.seeds {
            Some(config::Seeds::Each) => false,
            Some(config::Seeds::Summary) => true,
            None => self.partitions.len() > EACH_UP_TO,
        }
    }

    /// The message that opens a partition. A PIN that the configuration spells out is not in it:
    /// the worker has it already.
    pub(crate) fn open_message(&self, id: PartitionId) -> Option<Open> {
        let planned = self.partitions.get(&id)?;
        let partition = &planned.config;
        Some(Open {
            partition: id.0,
            token: planned.token.clone(),
            first: None,
            login: partition.login,
            pin: match &partition.pin {
                // The worker inherits none of the variables that secrets are read from.
                config::Pin::Taken | config::Pin::Given(SecretRef::Environment(_)) => {
                    PinSource::Told
                }
                config::Pin::Given(reference) => PinSource::Reference(reference.clone()),
                config::Pin::Absent => PinSource::None,
            },
            chunk: partition
                .chunk
                .and_then(|chunk| u32::try_from(chunk).ok())
                .and_then(NonZeroU32::new),
        })
    }

    /// The PINs that workers cannot read themselves: those that the configuration `spelt_out`, each
    /// with its partition's name, and those in environment variables, which workers do not inherit.
    pub(crate) fn pins_to_tell(
        &self,
        spelt_out: Vec<(String, Secret)>,
    ) -> BTreeMap<ModuleId, Vec<(u32, Secret)>> {
        let mut spelt_out: HashMap<_, _> = spelt_out.into_iter().collect();
        let modules: HashMap<_, _> = self
            .modules
            .iter()
            .map(|(id, module)| (module.path.as_path(), *id))
            .collect();
        let mut pins = BTreeMap::<_, Vec<_>>::new();
        for (id, Planned { config, .. }) in &self.partitions {
            let pin = match &config.pin {
                config::Pin::Taken => spelt_out.remove(&config.name),
                config::Pin::Given(variable @ SecretRef::Environment(_)) => variable.read().ok(),
                config::Pin::Given(_) | config::Pin::Absent => None,
            };
            if let Some(pin) = pin {
                let module = modules[config.module.as_path()];
                pins.entry(module).or_default().push((id.0, pin));
            }
        }
        pins
    }

    /// The file that holds a partition's PIN, where one does.
    pub(crate) fn pin_file(&self, id: PartitionId) -> Option<std::path::PathBuf> {
        match &self.partitions.get(&id)?.config.pin {
            config::Pin::Given(reference) => reference.path(),
            config::Pin::Absent | config::Pin::Taken => None,
        }
    }

    /// The file that holds a source's access token, where one does.
    pub(crate) fn access_token_file(&self, id: SourceId) -> Option<std::path::PathBuf> {
        self.sources
            .get(&id)?
            .config
            .kind
            .http()?
            .access_token
            .as_ref()
            .and_then(SecretRef::path)
    }
}

fn token_choice(token: &config::TokenChoice) -> Result<TokenChoice, String> {
    match token {
        config::TokenChoice::Slot(slot) => Ok(TokenChoice::Slot(*slot)),
        config::TokenChoice::Uri(uri) => uri
            .parse::<TokenUri>()
            .map(|uri| TokenChoice::Uri(Box::new(uri)))
            .map_err(|why| why.to_string()),
    }
}

fn source_settings(id: SourceId, planned: &PlannedSource) -> engine::SourceSettings {
    let source = &planned.config;
    engine::SourceSettings {
        id,
        name: Arc::from(source.name.as_str()),
        limits: match source.kind {
            config::SourceKind::Qrypt { .. } => engine::Limits::QRYPT,
            config::SourceKind::QryptKib { .. } => engine::Limits::QRYPT_KIB,
            _ => engine::Limits::COMMON,
        },
        rate_limit: source.rate_limit,
        startup_bytes: source.startup_bytes,
        service: fingerprint(&source.kind.http().map(|http| http.url.to_string())),
        revision: planned.revision,
    }
}

/// A number that changes when `value` does.
fn fingerprint(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// What a source's adapter needs to know.
pub(crate) fn source_adapter(kind: &config::SourceKind) -> sources::Settings {
    use config::SourceKind;
    match kind {
        SourceKind::Qrypt { http } => sources::Settings::Qrypt(http_settings(http, bearer(http))),
        SourceKind::QryptKib { http } => {
            sources::Settings::QryptKib(http_settings(http, bearer(http)))
        }
        SourceKind::QrngOpenApi { http, auth } => {
            let auth = match (auth, &http.access_token) {
                (config::Auth::Bearer, Some(token)) => sources::Auth::Bearer(token.clone()),
                (config::Auth::XApiKey, Some(key)) => sources::Auth::XApiKey(key.clone()),
                _ => sources::Auth::None,
            };
            sources::Settings::QrngOpenApi(http_settings(http, auth))
        }
        SourceKind::Device { path, timeout } => sources::Settings::Device {
            path: path.clone(),
            timeout: *timeout,
        },
    }
}

fn bearer(http: &config::Http) -> sources::Auth {
    http.access_token
        .clone()
        .map_or(sources::Auth::None, sources::Auth::Bearer)
}

fn http_settings(http: &config::Http, auth: sources::Auth) -> sources::Http {
    sources::Http {
        host: http.url.host.to_string(),
        port: http.url.port,
        base_path: http.url.path.clone(),
        transport: match http.url.scheme {
            config::Scheme::Http => sources::Transport::Plain,
            config::Scheme::Https => sources::Transport::Tls(tls_settings(&http.tls)),
        },
        auth,
        timeout: http.timeout,
    }
}

fn tls_settings(tls: &config::Tls) -> sources::Tls {
    let client = tls.client_cert.clone().zip(tls.client_key.clone());
    sources::Tls {
        ca: tls.ca.clone(),
        client: client.map(|(certificate, key)| sources::ClientIdentity { certificate, key }),
        pin_sha256: tls.pin_sha256.clone(),
        post_quantum: tls.post_quantum,
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;
    use std::path::Path;

    use qseed_engine::PartitionId;

    use super::{Numbers, Plan};

    /// Partitions of these names and periods, and the number that each one gets.
    fn numbered(
        numbers: &mut Numbers,
        partitions: impl Iterator<Item = (u32, u32)>,
    ) -> Vec<(String, PartitionId)> {
        let mut text = "sources: [{name: s, type: device, path: /x}]\n\
                        defaults: {module: /l.so, login: none}\npartitions:\n"
            .to_owned();
        for (name, period) in partitions {
            writeln!(text, "- {{name: p{name}, slot: {name}, period: {period}}}").expect("room");
        }
        let loaded = qseed_config::parse(&text, "f").expect("a configuration");
        let plan = Plan::new(loaded.config, Path::new("f"), numbers).expect("a plan");
        let by_id = plan.partitions.iter();
        let mut numbered: Vec<_> = by_id.map(|(id, p)| (p.config.name.clone(), *id)).collect();
        numbered.sort();
        numbered
    }

    #[test]
    fn ten_thousand_partitions_keep_their_numbers_in_another_order_and_with_another_period() {
        let mut numbers = Numbers::default();
        let first = numbered(&mut numbers, (0..10_000).map(|name| (name, 10)));
        let again = numbered(&mut numbers, (0..10_000).rev().map(|name| (name, 20)));
        assert_eq!(first, again);
    }
}
