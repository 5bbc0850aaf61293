//! Small stories in simulated time, one for each thing that an operator relies on.

mod configuration;
mod lateness;
mod ledger;
mod limits;
mod once;
mod pins;
mod seeding;
mod sources;
mod stage;
mod story;
mod tokens;
mod workers;
