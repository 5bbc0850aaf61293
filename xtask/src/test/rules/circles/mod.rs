//! Modules of a crate use each other in one direction only.
//!
//! A circle is a group of modules in one folder that use each other, directly or through a third one.
//! A module counts together with everything below it: `run/pins.rs` counts as `run` in the folder above.
//! A parent and its own parts are no circle: a parent declares, connects and re-exports its parts, and
//! the parts may use what it defines for all of them. A re-exported name counts as a use of the
//! module that defines it.
//!
//! Paths count wherever they stand, in `use` and in code. Tests do not count.
//! To break a circle, move what both sides need into a module below both.

mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{Faults, files, from_root, read};
use crate::failure::Failure;
use source::{Named, Source, source};

/// Circles that the code still has: the folder and its modules. An entry that no longer fits is a fault.
const KNOWN: &[&str] = &[];

pub(super) fn faults(root: &Path) -> Result<Faults, Failure> {
    let mut crates = BTreeMap::<String, Crate>::new();
    for path in files(root, "rs")? {
        let name = from_root(&path, root);
        if let Some((folder, file)) = name.split_once("/src/") {
            let known = crates.entry(folder.to_owned()).or_default();
            known.add(file, source(&read(&path)?));
        }
    }
    let circles = crates.iter().flat_map(|(name, known)| {
        let circles = known.circles();
        circles.into_iter().map(move |circle| circle.named(name))
    });
    Ok(compare(circles.collect(), KNOWN))
}

/// What is wrong, where `known` are the circles that may still be there.
fn compare(circles: Vec<(String, String)>, known: &[&str]) -> Faults {
    let gone = known.iter().filter(|known| {
        let mut names = circles.iter().map(|(name, _)| name);
        !names.any(|name| name == *known)
    });
    let gone = gone.map(|name| {
        format!(
            "{name}: this circle is gone; delete it from KNOWN in {}",
            file!()
        )
    });
    let gone: Faults = gone.collect();
    let new = circles
        .into_iter()
        .filter(|(name, _)| !known.contains(&name.as_str()));
    let new =
        new.map(|(name, evidence)| format!("{name}: these modules use each other\n{evidence}"));
    new.chain(gone).collect()
}

/// Where a module is: the names from the crate's root on.
type Place = Vec<String>;

/// The modules of a crate that are files.
#[derive(Default)]
struct Crate {
    modules: BTreeMap<Place, Module>,
}

struct Module {
    file: String,
    source: Source,
}

/// Modules of one folder that use each other.
struct Circle {
    folder: Place,
    names: BTreeSet<String>,
    evidence: Vec<String>,
}

impl Circle {
    /// A circle in the list of known ones, and the lines that show it.
    fn named(self, name: &str) -> (String, String) {
        let names: Vec<_> = self.names.into_iter().collect();
        let place = [&[name.to_owned()], &self.folder[..]].concat().join("/");
        let evidence: Vec<_> = self
            .evidence
            .iter()
            .map(|line| format!("  {line}"))
            .collect();
        (
            format!("{place}: {}", names.join(", ")),
            evidence.join("\n"),
        )
    }
}

impl Crate {
    fn add(&mut self, file: &str, source: Source) {
        let mut place: Place = file
            .trim_end_matches(".rs")
            .split('/')
            .map(str::to_owned)
            .collect();
        let is_root = place.len() == 1 && ["lib", "main"].contains(&place[0].as_str());
        if is_root || place.last().is_some_and(|last| last == "mod") {
            place.pop();
        }
        let file = file.to_owned();
        self.modules.insert(place, Module { file, source });
    }

    /// Whether only tests see a module.
    fn is_test(&self, place: &[String]) -> bool {
        (1..=place.len()).any(|length| {
            let parent = self.modules.get(&place[..length - 1]);
            parent.is_some_and(|parent| parent.source.test_modules.contains(&place[length - 1]))
        })
    }

    /// The module that a path in the module `from` leads to; none outside this crate.
    fn target(&self, from: &[String], path: &[String], steps: usize) -> Option<Place> {
        let (first, mut rest) = path.split_first()?;
        let mut place = match first.as_str() {
            "crate" => Place::new(),
            "self" => from.to_vec(),
            "super" => from[..from.len().checked_sub(1)?].to_vec(),
            name => {
                rest = path;
                let inside = [from, &[name.to_owned()]].concat();
                if !self.modules.contains_key(&inside) && self.import(from, name).is_none() {
                    return None;
                }
                from.to_vec()
            }
        };
        while let Some((part, after)) = rest.split_first() {
            let inside = [&place[..], std::slice::from_ref(part)].concat();
            if part == "super" {
                place.pop();
            } else if self.modules.contains_key(&inside) {
                place = inside;
            } else if let Some(named) = self.import(&place, part)
                && steps > 0
            {
                let path = [&named.path[..], after].concat();
                // What comes from another crate is nobody's here.
                return self.target(&place, &path, steps - 1);
            } else {
                break;
            }
            rest = after;
        }
        Some(place)
    }

    /// What a module brings in under a name.
    fn import(&self, place: &[String], name: &str) -> Option<&Named> {
        let mut paths = self.modules.get(place)?.source.paths.iter();
        paths.find(|named| named.imported_as.as_deref() == Some(name))
    }

    /// Each use of one module by another: by folder, who uses whom, and a line that shows it.
    fn uses(&self) -> BTreeMap<Place, BTreeMap<(String, String), String>> {
        let mut uses = BTreeMap::<Place, BTreeMap<_, _>>::new();
        for (from, module) in &self.modules {
            if self.is_test(from) {
                continue;
            }
            for named in &module.source.paths {
                let Some(to) = self.target(from, &named.path, 8) else {
                    continue;
                };
                let pairs = from.iter().zip(&to);
                let shared = pairs.take_while(|(from, to)| from == to).count();
                if let (Some(user), Some(used)) = (from.get(shared), to.get(shared)) {
                    let folder = uses.entry(from[..shared].to_vec()).or_default();
                    let (file, line, path) = (&module.file, named.line, named.path.join("::"));
                    folder
                        .entry((user.clone(), used.clone()))
                        .or_insert_with(|| format!("{file}:{line}: {path}"));
                }
            }
        }
        uses
    }

    fn circles(&self) -> Vec<Circle> {
        let mut circles = Vec::new();
        for (folder, uses) in self.uses() {
            let pairs: Vec<_> = uses.keys().cloned().collect();
            for names in groups(&pairs) {
                let inside = uses
                    .iter()
                    .filter(|((user, used), _)| names.contains(user) && names.contains(used));
                circles.push(Circle {
                    folder: folder.clone(),
                    evidence: inside.map(|(_, line)| line.clone()).collect(),
                    names,
                });
            }
        }
        circles
    }
}

/// The largest groups in which each name reaches each other along the pairs.
fn groups(pairs: &[(String, String)]) -> Vec<BTreeSet<String>> {
    let reached = |start: &String| {
        let mut reached = BTreeSet::new();
        let mut to_follow = vec![start];
        while let Some(name) = to_follow.pop() {
            let next = pairs.iter().filter(|(from, _)| from == name);
            to_follow.extend(
                next.map(|(_, to)| to)
                    .filter(|to| reached.insert((*to).clone())),
            );
        }
        reached
    };
    let names: BTreeSet<_> = pairs.iter().map(|(from, _)| from).collect();
    let reached: BTreeMap<_, _> = names.iter().map(|name| (*name, reached(name))).collect();
    let mut groups: Vec<BTreeSet<String>> = Vec::new();
    for (name, theirs) in &reached {
        if !theirs.contains(*name) || groups.iter().any(|group| group.contains(*name)) {
            continue;
        }
        let back = |other: &&String| {
            reached
                .get(*other)
                .is_some_and(|their| their.contains(*name))
        };
        groups.push(theirs.iter().filter(back).cloned().collect());
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::{Crate, compare, source};

    /// Circles between files, given as name and text.
    fn circles(files: &[(&str, &str)]) -> Vec<String> {
        let mut known = Crate::default();
        for (file, text) in files {
            known.add(file, source(text));
        }
        let circles = known.circles().into_iter();
        circles.map(|circle| circle.named("crates/x").0).collect()
    }

    #[test]
    fn two_files_that_import_each_other_are_a_circle() {
        let found = circles(&[
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "use crate::b::B;"),
            ("b.rs", "use super::a::A;"),
        ]);
        assert_eq!(found, ["crates/x: a, b"]);
    }

    #[test]
    fn a_path_in_code_counts_as_an_import_does() {
        let found = circles(&[
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "fn f() { crate::b::g() }"),
            ("b.rs", "use super::a;"),
        ]);
        assert_eq!(found, ["crates/x: a, b"]);
    }

    #[test]
    fn a_circle_over_a_third_file_is_one() {
        let found = circles(&[
            ("main.rs", "mod a; mod b; mod c; mod d;"),
            ("a.rs", "use crate::b::B; use crate::d::D;"),
            ("b.rs", "use crate::c::C;"),
            ("c.rs", "use crate::a::A;"),
            ("d.rs", ""),
        ]);
        assert_eq!(found, ["crates/x: a, b, c"]);
    }

    #[test]
    fn what_a_parent_gives_on_counts_as_where_it_comes_from() {
        let found = circles(&[
            ("lib.rs", "mod p;"),
            ("p/mod.rs", "mod a; mod b; pub use a::A; pub use b::B;"),
            ("p/a.rs", "use super::B;"),
            ("p/b.rs", "use crate::p::A;"),
        ]);
        assert_eq!(found, ["crates/x/p: a, b"]);
    }

    #[test]
    fn folders_count_with_what_is_in_them() {
        let found = circles(&[
            ("lib.rs", "mod p; mod q;"),
            ("p/mod.rs", "mod a; mod b;"),
            ("p/a.rs", "use crate::q::Q;"),
            ("p/b.rs", ""),
            ("q.rs", "use crate::p::b::B;"),
        ]);
        assert_eq!(found, ["crates/x: p, q"]);
    }

    #[test]
    fn a_parent_and_its_parts_are_no_circle() {
        let found = circles(&[
            ("lib.rs", "mod p; use p::a::A; pub struct Error;"),
            ("p/mod.rs", "mod a; mod b; use a::A; pub struct P;"),
            ("p/a.rs", "use super::P; use crate::Error; use super::b::B;"),
            ("p/b.rs", "use super::P;"),
        ]);
        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn what_only_tests_use_is_no_circle() {
        let found = circles(&[
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "use crate::b::B;"),
            (
                "b/mod.rs",
                "#[cfg(test)] mod tests; #[cfg(test)] mod more { use crate::a::A; }",
            ),
            ("b/tests.rs", "use crate::a::A;"),
        ]);
        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn a_known_circle_has_to_be_there() {
        let circle = || vec![("crates/x: a, b".to_owned(), String::new())];
        assert_eq!(compare(circle(), &["crates/x: a, b"]), Vec::<String>::new());
        assert_eq!(compare(circle(), &[]).len(), 1);
        assert_eq!(compare(Vec::new(), &["crates/x: a, b"]).len(), 1);
        assert_eq!(compare(circle(), &["crates/x: a, c"]).len(), 2);
    }
}
