//! The configuration in force, and the PINs that it spells out, for workers that start later.
//!
//! The file is read at the start and at each SIGHUP alone. What happens to it in between changes
//! nothing, and takes no PIN from a worker that starts again. The PINs wait in a pipe a module
//! ([`KeptPins`]); the daemon wipes its own copies.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use qseed_config::{Config, Loaded, Warning};
use qseed_engine::ModuleId;
use qseed_secrets::{Secret, environment};
use qseed_tokens::supervisor::KeptPins;

use crate::assemble::{Numbers, Plan};
use crate::cli::ConfigArgs;
use crate::exit::{Code, Failure};
use crate::state_dir::Acting;

/// The PINs of each module's partitions, by the partitions' numbers.
pub(super) type Pins = BTreeMap<ModuleId, Vec<(u32, Secret)>>;

#[derive(Debug)]
pub(crate) struct ConfigSource {
    args: ConfigArgs,
    numbers: Numbers,
    kept: BTreeMap<ModuleId, KeptPins>,
    /// The environment variables that secrets were read from since the start, and the one that says
    /// where they are now. One that is no longer referred to still holds a secret.
    secret_variables: BTreeSet<String>,
}

/// A configuration before it takes effect.
pub(super) struct Prepared {
    pub(super) plan: Plan,
    /// For workers that run already.
    pub(super) pins: Pins,
    numbers: Numbers,
    kept: BTreeMap<ModuleId, KeptPins>,
}

impl ConfigSource {
    /// Takes the configuration that the program was started with.
    pub(crate) fn new(args: ConfigArgs, config: Config) -> Result<(Self, Plan), Failure> {
        let mut source = Self {
            args,
            numbers: Numbers::default(),
            kept: BTreeMap::new(),
            secret_variables: BTreeSet::from([environment::MARK.to_owned()]),
        };
        let prepared = source.prepare(config)?;
        let (plan, _) = source.accept(prepared);
        Ok((source, plan))
    }

    /// Reads the file again. Until [`ConfigSource::accept`], nothing here changes.
    pub(super) fn read_again(&self) -> Result<(Prepared, Vec<Warning>), Failure> {
        let Loaded { config, warnings } = super::load(&self.args, Acting::ForItself)?;
        Ok((self.prepare(config)?, warnings))
    }

    fn prepare(&self, mut config: Config) -> Result<Prepared, Failure> {
        let mut numbers = self.numbers.clone();
        let spelt_out = config.take_literal_pins();
        let plan = Plan::new(config, &mut numbers);
        let pins = plan.pins_to_tell(spelt_out);
        let kept = keep(&plan, &pins)?;
        Ok(Prepared {
            plan,
            pins,
            numbers,
            kept,
        })
    }

    /// Lets a configuration take effect, and returns it with the PINs for workers that run.
    pub(super) fn accept(&mut self, prepared: Prepared) -> (Plan, Pins) {
        self.numbers = prepared.numbers;
        self.kept = prepared.kept;
        let variables = prepared.plan.config.secret_variables();
        self.secret_variables.extend(variables);
        (prepared.plan, prepared.pins)
    }

    /// The configuration's file.
    pub(crate) fn path(&self) -> &Path {
        &self.args.config
    }

    /// The variables that no worker inherits.
    pub(crate) fn secret_variables(&self) -> Vec<String> {
        self.secret_variables.iter().cloned().collect()
    }

    /// What a new worker of a module gets.
    pub(crate) fn kept_pins(&self, module: ModuleId) -> Option<&KeptPins> {
        self.kept.get(&module)
    }
}

fn keep(plan: &Plan, pins: &Pins) -> Result<BTreeMap<ModuleId, KeptPins>, Failure> {
    let kept = pins.iter().map(|(module, pins)| {
        let kept = KeptPins::keep(pins).map_err(|error| {
            let module = plan.modules.get(module).map(|module| module.path.display());
            let module = module.map_or_else(String::new, |path| format!(" of {path}"));
            let text = format!(
                "cannot keep the PINs{module} for its worker processes: {error}; write `pin: \
                 file:PATH` where the PINs are long or many"
            );
            Failure::new(Code::Configuration, text)
        });
        kept.map(|kept| (*module, kept))
    });
    kept.collect()
}
