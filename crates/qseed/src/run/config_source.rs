//! The configuration in force, and the PINs that it spells out, for workers that start later.
//!
//! The file is read at the start and at each SIGHUP alone. What happens to it in between changes
//! nothing, and takes no PIN from a worker that starts again. The PINs wait in a pipe a module
//! ([`KeptPins`]); the daemon wipes its own copies.

use std::collections::{BTreeMap, BTreeSet};

use qseed_config::{Config, Loaded, Warning};
use qseed_engine::ModuleId;
use qseed_secrets::Secret;
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
    /// The environment variables that secrets were read from since the start. One that is no
    /// longer referred to still holds a secret.
    secret_variables: BTreeSet<String>,
}

/// A configuration that was read again, before it takes effect.
pub(super) struct Reread {
    pub(super) plan: Plan,
    pub(super) warnings: Vec<Warning>,
    /// For workers that run already.
    pub(super) pins: Pins,
    numbers: Numbers,
    kept: BTreeMap<ModuleId, KeptPins>,
}

impl ConfigSource {
    /// Takes the configuration that the program was started with.
    pub(crate) fn new(args: ConfigArgs, config: Config) -> Result<(Self, Plan), Failure> {
        let mut numbers = Numbers::default();
        let (plan, pins) = plan(&args, config, &mut numbers)?;
        let kept = keep(&plan, &pins)?;
        let source = Self {
            args,
            numbers,
            kept,
            secret_variables: plan.config.secret_variables().into_iter().collect(),
        };
        Ok((source, plan))
    }

    /// Reads the file again. Until [`ConfigSource::accept`], nothing here changes.
    pub(super) fn read_again(&self) -> Result<Reread, Failure> {
        let Loaded { config, warnings } = super::load(&self.args, Acting::ForItself)?;
        let mut numbers = self.numbers.clone();
        let (plan, pins) = plan(&self.args, config, &mut numbers)?;
        let kept = keep(&plan, &pins)?;
        Ok(Reread {
            plan,
            warnings,
            pins,
            numbers,
            kept,
        })
    }

    /// Lets a configuration take effect, and returns it with the PINs for workers that run.
    pub(super) fn accept(&mut self, reread: Reread) -> (Plan, Pins) {
        self.numbers = reread.numbers;
        self.kept = reread.kept;
        let variables = reread.plan.config.secret_variables();
        self.secret_variables.extend(variables);
        (reread.plan, reread.pins)
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

fn plan(
    args: &ConfigArgs,
    mut config: Config,
    numbers: &mut Numbers,
) -> Result<(Plan, Pins), Failure> {
    let spelt_out = config.take_literal_pins();
    let plan = Plan::new(config, &args.config, numbers)?;
    let pins = plan.pins_to_tell(spelt_out);
    Ok((plan, pins))
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
