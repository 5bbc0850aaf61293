//! A worker with a token that misbehaves on demand.

use std::time::Duration;

use qseed_faulty_token::{FaultyToken, Function};
use qseed_model::Login;
use qseed_tokens::supervisor::WorkerSpec;
use qseed_tokens::wire::Open;

use super::{Daemon, spec, token, with_worker};

/// A faulty token in a folder of its own, and the specification of a worker for it.
pub struct Bench {
    pub token: FaultyToken,
    pub spec: WorkerSpec,
    _folder: tempfile::TempDir,
}

impl Bench {
    pub fn new(change: impl FnOnce(&mut qseed_faulty_token::Faults)) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let token = FaultyToken::new(folder.path().join("token")).expect("a token");
        token.set(change).expect("steered");
        let module = qseed_faulty_token::module_path().expect("built with this test");
        let (name, file) = token.environment();
        let environment = vec![(name.to_owned(), file.display().to_string())];
        let module = module.to_str().map(str::to_owned).expect("a path in UTF-8");
        let spec = WorkerSpec {
            environment,
            ..spec(&module, folder.path())
        };
        Self {
            token,
            spec,
            _folder: folder,
        }
    }

    /// Runs a test with a worker of this token, and shuts the worker down.
    pub fn with_worker(&self, test: impl AsyncFnOnce(&mut Daemon)) {
        with_worker(&self.spec, test);
    }

    pub fn set(&self, change: impl FnOnce(&mut qseed_faulty_token::Faults)) {
        self.token.set(change).expect("steered");
    }

    /// Has workers check the token before each seed.
    pub fn check_before_each_seed(&mut self) {
        self.spec.recheck_after = Duration::ZERO;
    }

    /// How often a token's information was read, where every call is recorded.
    pub fn readings(&self) -> usize {
        let record = self.token.record().expect("a record").into_iter();
        record
            .filter(|line| line.ended(Function::GetTokenInfo).is_some())
            .count()
    }

    pub fn logins(&self) -> usize {
        self.token.logins().expect("a record").len()
    }

    /// The seeds that tokens mixed in, with the number of the token.
    pub fn mixed_in(&self) -> Vec<(u32, Vec<u8>)> {
        let calls = self.token.seeds().expect("a record").into_iter();
        let done = calls.filter(qseed_faulty_token::Call::succeeded);
        done.map(|call| (call.token.expect("a token"), call.seed.expect("a seed")))
            .collect()
    }
}

/// A token of the faulty module, by its label.
pub fn faulty(number: u32, login: Login, pin: Option<&str>) -> Open {
    token(number, &format!("faulty-{number}"), login, pin)
}
