//! The commands that look and tell, `slots`, `check`, `guard` and `audit`: the real program against tokens
//! and services.

mod audit;
mod bench;
mod check_anchors;
mod check_configuration;
mod check_ledger;
mod check_sources;
mod check_tokens;
mod check_trials;
mod command_line;
mod guard;
mod slots;
