//! What goes wrong, and who mends it.

use std::time::Duration;

use qseed_engine::{Event, ModuleId, SourceId, TokenFault, WorkerId};

use crate::Checked;
use crate::scenario::{DAY, EXCHANGE_TIME_OUT, HOUR, MINUTE, SECOND};
use crate::service::Trouble;
use crate::world::{Happening, World};

/// How a token is in trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenTrouble {
    Missing,
    OpeningFails(TokenFault),
    SeedingFails(TokenFault),
    FailsSlowly,
    SeedingFailsSlowly,
    /// It takes each seed, after a long time.
    SeedsSlowly,
    Hangs,
    CrashesModule,
    LoginIsUnclear,
    LoginHangs,
    LoginCrashesModule,
}

/// How a module is in trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ModuleTrouble {
    LoadFails,
    LoadHangs,
    StartsSlowly,
    Crashes,
    IgnoresEnd,
    SurvivesKill,
}

/// How the ledger's disk is in trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LedgerTrouble {
    Fails,
    Hangs,
}

/// Something that goes wrong for a while.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    Source(SourceId, Trouble),
    Token(usize, TokenTrouble),
    /// The token is initialised anew and has another PIN from then on.
    NewPin(usize),
    Module(ModuleId, ModuleTrouble),
    Disk,
    Ledger(LedgerTrouble),
}

const TOKEN_TROUBLES: [TokenTrouble; 20] = [
    TokenTrouble::Missing,
    TokenTrouble::Missing,
    TokenTrouble::OpeningFails(TokenFault::Mismatch),
    TokenTrouble::OpeningFails(TokenFault::PinFlagged),
    TokenTrouble::OpeningFails(TokenFault::PinUnavailable),
    TokenTrouble::OpeningFails(TokenFault::PinNotSet),
    TokenTrouble::OpeningFails(TokenFault::AnotherLogin),
    TokenTrouble::SeedingFails(TokenFault::SeedingRefused),
    TokenTrouble::SeedingFails(TokenFault::Length),
    TokenTrouble::SeedingFails(TokenFault::Device),
    TokenTrouble::SeedingFails(TokenFault::General),
    TokenTrouble::FailsSlowly,
    TokenTrouble::SeedingFailsSlowly,
    TokenTrouble::SeedsSlowly,
    TokenTrouble::SeedsSlowly,
    TokenTrouble::Hangs,
    TokenTrouble::CrashesModule,
    TokenTrouble::LoginIsUnclear,
    TokenTrouble::LoginHangs,
    TokenTrouble::LoginCrashesModule,
];

const MODULE_TROUBLES: [ModuleTrouble; 6] = [
    ModuleTrouble::LoadFails,
    ModuleTrouble::LoadHangs,
    ModuleTrouble::StartsSlowly,
    ModuleTrouble::Crashes,
    ModuleTrouble::IgnoresEnd,
    ModuleTrouble::SurvivesKill,
];

/// The longest that a call may take, and then some for its worker to end.
pub(crate) const HUNG_AT_MOST: Duration = Duration::from_secs(60 + 30);

impl World {
    pub(crate) fn plan_faults(&mut self) {
        let lasts = self.scenario.lasts;
        let longest = (lasts / 8).clamp(MINUTE, 3 * DAY);
        for _ in 0..self.dice.between(0, 10) {
            let (at, for_) = self.window(longest);
            let sources: Vec<_> = self.services.keys().copied().collect();
            let fault = Fault::Source(*self.dice.pick(&sources), Trouble::draw(&mut self.dice));
            self.after_in_any_case(at, Happening::Begins(fault, for_));
        }
        for _ in 0..self.dice.between(0, 25) {
            let (at, for_) = self.window(longest);
            let token = self.dice.index(self.tokens.len());
            let fault = if self.dice.one_in(4) {
                Fault::NewPin(token)
            } else {
                let mut trouble = *self.dice.pick(&TOKEN_TROUBLES);
                if self.dice.one_in(20) {
                    trouble = TokenTrouble::OpeningFails(TokenFault::Module);
                }
                Fault::Token(token, trouble)
            };
            self.after_in_any_case(at, Happening::Begins(fault, for_));
        }
        // Several at once, so that they could take every place that their module has.
        if self.dice.one_in(4) {
            let (at, for_) = self.window(longest);
            let trouble = *self.dice.pick(&[
                TokenTrouble::FailsSlowly,
                TokenTrouble::SeedingFailsSlowly,
                TokenTrouble::SeedingFailsSlowly,
                TokenTrouble::SeedsSlowly,
                TokenTrouble::Hangs,
                TokenTrouble::CrashesModule,
            ]);
            for _ in 0..self.dice.between(2, 6) {
                let fault = Fault::Token(self.dice.index(self.tokens.len()), trouble);
                self.after_in_any_case(at, Happening::Begins(fault, for_));
            }
        }
        for _ in 0..self.dice.between(0, 5) {
            let (at, for_) = self.window(longest);
            let module = self.dice.pick(&self.settings.modules).id;
            let fault = Fault::Module(module, *self.dice.pick(&MODULE_TROUBLES));
            self.after_in_any_case(at, Happening::Begins(fault, for_));
        }
        for _ in 0..self.dice.between(0, 3) {
            let (at, for_) = self.window(longest);
            // Every login asks the disk again within a minute.
            let for_ = for_.min(HOUR);
            self.after_in_any_case(at, Happening::Begins(Fault::Disk, for_));
            let (at, _) = self.window(longest);
            self.after_in_any_case(at, Happening::DaemonDies);
            let (at, _) = self.window(longest);
            self.after_in_any_case(at, Happening::Reconfigures);
        }
        self.plan_ledger_faults(longest);
        for _ in 0..self.dice.between(0, 4) {
            let (at, _) = self.window(longest);
            let token = self.dice.index(self.tokens.len());
            self.after_in_any_case(at, Happening::Checks(token));
        }
        // A daemon that is killed again and again, in the middle of something.
        if self.dice.one_in(4) {
            let (at, _) = self.window(longest);
            for _ in 0..self.dice.between(2, 12) {
                let soon = self.dice.magnitude(Duration::from_millis(10), MINUTE);
                self.after_in_any_case(at + soon, Happening::DaemonDies);
            }
        }
    }

    fn window(&mut self, longest: Duration) -> (Duration, Duration) {
        // Now and then from the very beginning: before any PIN was accepted.
        let at = if self.dice.one_in(8) {
            Duration::ZERO
        } else {
            self.dice.duration(Duration::ZERO, self.scenario.lasts)
        };
        (at, self.dice.magnitude(SECOND, longest))
    }

    pub(crate) fn begins(&mut self, fault: Fault, lasts: Duration) -> Checked {
        match fault {
            Fault::Source(id, trouble) => {
                let Some(service) = self.services.get_mut(&id).filter(|s| s.trouble.is_none())
                else {
                    return Ok(());
                };
                service.trouble = Some(trouble);
                service.healthy_since = None;
                self.look_at_sources()?;
            }
            Fault::Token(token, trouble) => {
                if self.tokens[token].trouble.is_some() {
                    return Ok(());
                }
                self.cadence.check_token(token, self.now)?;
                self.tokens[token].trouble = Some(trouble);
                self.look_at_token(token)?;
            }
            Fault::NewPin(token) => {
                self.cadence.check_token(token, self.now)?;
                self.tokens[token].pin = self.dice.next();
                self.tokens[token].generation += 1;
                for process in self.processes.values_mut() {
                    process.logged_in.remove(&token);
                }
                return self.look_at_token(token);
            }
            Fault::Module(module, trouble) => {
                if self.module_troubles.contains_key(&module) {
                    return Ok(());
                }
                self.cadence.check_module(module, self.now)?;
                self.module_troubles.insert(module, trouble);
                self.cadence.modules.insert(module, None);
                if trouble == ModuleTrouble::Crashes {
                    self.crash_all(module);
                }
            }
            Fault::Disk => {
                if !self.disk_works {
                    return Ok(());
                }
                // While it is broken, nobody new can log in.
                self.cadence.check_all(self.now)?;
                self.disk_works = false;
                self.look_at_all_tokens()?;
            }
            Fault::Ledger(trouble) => return self.ledger_fails(trouble, lasts),
        }
        self.after_in_any_case(lasts, Happening::Ends(fault));
        Ok(())
    }

    fn crash_all(&mut self, module: ModuleId) {
        let of_module = self
            .processes
            .iter()
            .filter(|(_, p)| p.module == module && p.acts());
        let workers: Vec<WorkerId> = of_module.map(|(worker, _)| *worker).collect();
        for worker in workers {
            self.dies(worker);
        }
    }

    pub(crate) fn ends(&mut self, fault: Fault) -> Checked {
        let now = self.now;
        match fault {
            Fault::Source(id, trouble) => {
                let Some(service) = self.services.get_mut(&id) else {
                    return Ok(());
                };
                service.trouble = None;
                // A secret that was rotated is told; a quota that is full again is not.
                let told = trouble == Trouble::Refuses && self.dice.one_in(2);
                let asleep = if told {
                    EXCHANGE_TIME_OUT
                } else {
                    trouble.lasting()
                };
                service.asleep_until = service.asleep_until.max(now + asleep);
                service.healthy_since = Some(service.asleep_until);
                if told {
                    service.change_secret();
                    self.tell(Event::SourceSecretChanged(id))?;
                }
                self.look_at_sources()
            }
            Fault::Token(token, trouble) => {
                let asleep = match trouble {
                    TokenTrouble::SeedingFails(TokenFault::SeedingRefused) => HOUR,
                    TokenTrouble::OpeningFails(TokenFault::PinFlagged | TokenFault::PinNotSet) => {
                        5 * MINUTE
                    }
                    // Others in quarantine may be slow or hang.
                    _ => HUNG_AT_MOST,
                };
                self.tokens[token].trouble = None;
                let healthy_from = &mut self.tokens[token].healthy_from;
                *healthy_from = (*healthy_from).max(now + asleep);
                self.look_at_token(token)
            }
            Fault::NewPin(_) => Ok(()),
            Fault::Ledger(_) => self.ledger_heals(),
            Fault::Module(module, _) => {
                self.module_troubles.remove(&module);
                self.cadence
                    .modules
                    .insert(module, Some(now + HUNG_AT_MOST));
                Ok(())
            }
            Fault::Disk => {
                self.disk_works = true;
                self.pins.write_the_rest();
                for token in &mut self.tokens {
                    token.healthy_from = token.healthy_from.max(now + 5 * MINUTE);
                }
                self.look_at_all_tokens()
            }
        }
    }
}
