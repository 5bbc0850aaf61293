//! From the configuration to what each part needs: numbers for the engine, settings for sources,
//! messages for workers.

mod shortages;

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use qseed_config::{self as config, LoadError, LoadOptions, Loaded};
use qseed_engine as engine;
use qseed_engine::{ModuleId, PartitionId, SourceId};
use qseed_http as http;
use qseed_secrets::{Secret, SecretRef};
use qseed_sources as sources;
use qseed_tokens::wire::{Open, PinSource};

use crate::cli::ConfigArgs;
use crate::state_dir::Acting;

pub(crate) use shortages::shortages;

/// Up to this many partitions, each injection is a line of the log and a record of the ledger.
pub(crate) const EACH_UP_TO: usize = 100;

/// Loads the configuration that `args` names, for the daemon or for a command of an operator.
///
/// # Errors
/// Every fault of it at once.
pub(crate) fn load(args: &ConfigArgs, acting: Acting) -> Result<Loaded, LoadError> {
    let options = LoadOptions {
        allow_readable_secrets: args.allow_readable_secrets,
        for_another_user: acting == Acting::ForOwner,
    };
    config::load(&args.config, &options)
}

/// The configuration with the engine's numbers beside its names.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) config: config::Config,
    pub(crate) sources: BTreeMap<SourceId, PlannedSource>,
    pub(crate) modules: BTreeMap<ModuleId, config::Module>,
    pub(crate) partitions: BTreeMap<PartitionId, config::Partition>,
}

/// A source with a number that changes when its settings do.
#[derive(Clone, Debug)]
pub(crate) struct PlannedSource {
    pub(crate) config: config::Source,
    pub(crate) revision: u64,
}

/// Hands out numbers, and the same ones again to what has not changed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Numbers {
    last: u32,
    sources: BTreeMap<String, (SourceId, PlannedSource)>,
    modules: BTreeMap<PathBuf, ModuleId>,
    partitions: HashMap<String, (PartitionId, config::Partition)>,
}

impl Numbers {
    fn new_number(&mut self) -> u32 {
        self.last += 1;
        self.last
    }

    fn source(&mut self, source: &config::Source) -> (SourceId, PlannedSource) {
        let (id, revision) = match self.sources.get(&source.name) {
            Some((id, known)) if known.config.kind == source.kind => (*id, known.revision),
            Some((id, known)) => (*id, known.revision + 1),
            None => (SourceId(self.new_number()), 0),
        };
        let config = source.clone();
        let numbered = (id, PlannedSource { config, revision });
        self.sources.insert(source.name.clone(), numbered.clone());
        numbered
    }

    fn module(&mut self, path: &Path) -> ModuleId {
        let known = self.modules.get(path).copied();
        let id = known.unwrap_or_else(|| ModuleId(self.new_number()));
        self.modules.insert(path.to_owned(), id);
        id
    }

    /// A partition keeps its number while only its size and period change.
    fn partition(&mut self, partition: &config::Partition) -> PartitionId {
        match self.partitions.get(&partition.name) {
            Some((id, known)) if known.is_same_session(partition) => *id,
            _ => PartitionId(self.new_number()),
        }
    }
}

impl Plan {
    /// Numbers everything in `config`, whose literal PINs have been taken out.
    pub(crate) fn new(config: config::Config, numbers: &mut Numbers) -> Self {
        let sources = config.sources.iter().map(|it| numbers.source(it)).collect();
        let modules = config
            .modules
            .iter()
            .map(|module| (numbers.module(&module.path), module.clone()))
            .collect();
        let partitions: BTreeMap<_, _> = config
            .partitions
            .iter()
            .map(|partition| (numbers.partition(partition), partition.clone()))
            .collect();
        numbers.partitions = partitions
            .iter()
            .map(|(id, partition)| (partition.name.clone(), (*id, partition.clone())))
            .collect();
        Self {
            config,
            sources,
            modules,
            partitions,
        }
    }

    /// The modules' numbers by their paths.
    fn module_ids(&self) -> HashMap<&Path, ModuleId> {
        let modules = self.modules.iter();
        modules.map(|(id, it)| (it.path.as_path(), *id)).collect()
    }

    /// What the engine needs to know.
    pub(crate) fn engine_settings(&self) -> engine::Settings {
        let module_ids = self.module_ids();
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
            record_first: self.records_first(),
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
                        module.network,
                    )),
                })
                .collect(),
            partitions: self
                .partitions
                .iter()
                .map(|(id, partition)| engine::PartitionSettings {
                    id: *id,
                    name: Arc::from(partition.name.as_str()),
                    module: module_ids[partition.module.as_path()],
                    size: partition.size,
                    period: partition.period,
                })
                .collect(),
        }
    }

    /// Whether the ledger must have a record of each seed before the seed leaves.
    pub(crate) fn records_first(&self) -> bool {
        let audit = self.config.audit.as_ref();
        audit.is_some_and(|audit| audit.mode == config::AuditMode::Required)
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
        let partition = self.partitions.get(&id)?;
        Some(Open {
            partition: id.0,
            token: partition.token.clone(),
            first: None,
            login: partition.login,
            pin: match &partition.pin {
                // The worker inherits none of the variables that secrets are read from.
                config::Pin::Taken
                | config::Pin::Given(SecretRef::Literal(_) | SecretRef::Environment(_)) => {
                    PinSource::Sent
                }
                config::Pin::Given(SecretRef::File(path)) => PinSource::File(path.clone()),
                config::Pin::Given(SecretRef::Credential(name)) => {
                    PinSource::Credential(name.clone())
                }
                config::Pin::Absent => PinSource::None,
            },
            guard_key_may_be_made: false,
            chunk: partition
                .chunk
                .and_then(|chunk| NonZeroU32::new(u32::try_from(chunk).ok()?)),
        })
    }

    /// The PINs that workers cannot read themselves: those that the configuration `spelt_out`, each
    /// with its partition's name, and those in environment variables, which workers do not inherit.
    pub(crate) fn pins_to_tell(
        &self,
        spelt_out: Vec<(String, Secret)>,
    ) -> BTreeMap<ModuleId, Vec<(u32, Secret)>> {
        let mut spelt_out: HashMap<_, _> = spelt_out.into_iter().collect();
        let module_ids = self.module_ids();
        let mut pins = BTreeMap::<_, Vec<_>>::new();
        for (id, partition) in &self.partitions {
            let pin = match &partition.pin {
                config::Pin::Taken => spelt_out.remove(&partition.name),
                config::Pin::Given(variable @ SecretRef::Environment(_)) => variable.read().ok(),
                config::Pin::Given(_) | config::Pin::Absent => None,
            };
            if let Some(pin) = pin {
                let module = module_ids[partition.module.as_path()];
                pins.entry(module).or_default().push((id.0, pin));
            }
        }
        pins
    }

    /// The file that holds a partition's PIN, where one does.
    pub(crate) fn pin_file(&self, id: PartitionId) -> Option<PathBuf> {
        match &self.partitions.get(&id)?.pin {
            config::Pin::Given(reference) => reference.path(),
            config::Pin::Absent | config::Pin::Taken => None,
        }
    }

    /// The file that holds a source's access token, where one does.
    pub(crate) fn access_token_file(&self, id: SourceId) -> Option<PathBuf> {
        let source = self.sources.get(&id)?;
        source.config.kind.http()?.access_token.as_ref()?.path()
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
        SourceKind::Qrypt { http } => sources::Settings::Qrypt(http_settings(http)),
        SourceKind::QryptKib { http } => sources::Settings::QryptKib(http_settings(http)),
        SourceKind::QrngOpenApi { http } => sources::Settings::QrngOpenApi(http_settings(http)),
        SourceKind::Device { path, timeout } => sources::Settings::Device {
            path: path.clone(),
            timeout: *timeout,
        },
    }
}

fn http_settings(http: &config::Http) -> http::Http {
    http::Http {
        url: http.url.clone(),
        tls: tls_settings(&http.tls),
        auth: match (http.auth, http.access_token.clone()) {
            (config::Auth::Bearer, Some(token)) => http::Auth::Bearer(token),
            (config::Auth::XApiKey, Some(key)) => http::Auth::XApiKey(key),
            _ => http::Auth::None,
        },
        timeout: http.timeout,
    }
}

fn tls_settings(tls: &config::Tls) -> http::Tls {
    let client = tls.client_cert.clone().zip(tls.client_key.clone());
    http::Tls {
        ca: tls.ca.clone(),
        client: client.map(|(certificate, key)| http::ClientIdentity { certificate, key }),
        pin_sha256: tls.pin_sha256.clone(),
        post_quantum: tls.post_quantum,
    }
}

/// The longest that one exchange with a witness may take.
const WITNESS_ANSWERS_WITHIN: Duration = Duration::from_secs(30);

/// How a witness is reached.
pub(crate) fn witness_service(witness: &config::Witness) -> http::Http {
    http::Http {
        url: witness.url.clone(),
        tls: tls_settings(&witness.tls),
        auth: http::Auth::None,
        timeout: WITNESS_ANSWERS_WITHIN,
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

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
        let plan = Plan::new(loaded.config, numbers);
        let by_id = plan.partitions.iter();
        let mut numbered: Vec<_> = by_id.map(|(id, p)| (p.name.clone(), *id)).collect();
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
