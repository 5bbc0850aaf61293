//! Landlock: the kernel's rules by which a process keeps itself from files, ports and processes.

use std::os::fd::OwnedFd;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, Ruleset,
    RulesetAttr, RulesetCreatedAttr, RulesetError, Scope, make_bitflags,
};

use crate::NotGranted;
use crate::closed::{Entries, Kind};

/// What each version of Landlock brings that qseed uses, and what a module can do without it.
const PARTS: [(ABI, &str); 5] = [
    (
        ABI::V1,
        "the kernel has no Landlock: a module can read and write every file of qseed's user, and \
         what other processes of that user have in memory is protected by the kernel's general \
         rules alone",
    ),
    (
        ABI::V2,
        "Landlock has no control of renaming between folders (Linux 5.19)",
    ),
    (
        ABI::V3,
        "Landlock has no control of truncation (Linux 6.2): a module can empty qseed's files",
    ),
    (
        ABI::V4,
        "Landlock has no control of TCP (Linux 6.7): `network: false` stands on seccomp alone",
    ),
    (
        ABI::V6,
        "Landlock has no control of signals (Linux 6.12): a module can kill qseed",
    ),
];

/// What this kernel lacks.
pub(crate) fn missing() -> Vec<NotGranted> {
    let lacks = PARTS.iter().filter(|(abi, _)| !has(*abi));
    let mut texts = lacks.map(|(_, text)| NotGranted::Landlock((*text).to_owned()));
    match (has(ABI::V1), texts.next()) {
        (true, Some(first)) => [first].into_iter().chain(texts).collect(),
        (_, first) => first.into_iter().collect(),
    }
}

fn has(abi: ABI) -> bool {
    let strict = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    let ruleset = match abi {
        ABI::V4 => strict.handle_access(AccessNet::from_all(abi)),
        ABI::V6 => strict.scope(Scope::from_all(abi)),
        _ => strict.handle_access(AccessFs::from_all(abi)),
    };
    ruleset.and_then(Ruleset::create).is_ok()
}

/// What is controlled. To list a folder or run a program is not: names are no secret, and a program
/// that runs is confined as well.
fn controlled() -> BitFlags<AccessFs> {
    AccessFs::from_all(ABI::V3) & !make_bitflags!(AccessFs::{Execute | ReadDir})
}

/// Restricts this thread and all that it starts to these entries, if there are any, and to its own
/// processes. Without `network`, to no TCP port.
pub(crate) fn restrict(entries: &Entries, network: bool) -> Option<NotGranted> {
    let restricted = try_to_restrict(entries, network);
    let why = restricted.err()?;
    Some(NotGranted::Landlock(format!("Landlock failed: {why}")))
}

fn try_to_restrict(entries: &Entries, network: bool) -> Result<(), RulesetError> {
    // Signals alone: libraries reach services such as D-Bus through abstract sockets.
    let mut ruleset = Ruleset::default().scope(Scope::Signal)?;
    if !network {
        ruleset = ruleset.handle_access(AccessNet::from_all(ABI::V4))?;
    }
    // Without a file to close, the domain still keeps other processes' memory from this one.
    let mut created = ruleset.handle_access(controlled())?.create()?;
    let all = controlled();
    entries.each(|entry: OwnedFd, kind| -> Result<(), RulesetError> {
        let access = match kind {
            Kind::Folder => all,
            Kind::File => all & AccessFs::from_file(ABI::V3),
            Kind::ReadableFile => AccessFs::ReadFile.into(),
        };
        (&mut created).add_rule(PathBeneath::new(entry, access))?;
        Ok(())
    })?;
    created.restrict_self()?;
    Ok(())
}
