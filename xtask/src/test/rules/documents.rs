//! The documents' links lead somewhere, and the tests that stand for what is promised exist.

use std::path::Path;

use super::{Faults, files, from_root, read};
use crate::failure::Failure;

/// The documents that name a test for each promise.
const PROMISES: [&str; 2] = ["SPECIFICATION.md", "docs/threat-model.md"];

pub(super) fn faults(root: &Path) -> Result<Faults, Failure> {
    let mut faults = Vec::new();
    for path in files(root, "md")? {
        let name = from_root(&path, root);
        let folder = path.parent().unwrap_or(root);
        for target in links(&read(&path)?) {
            if !folder.join(&target).exists() {
                faults.push(format!("{name}: the link to {target} leads nowhere"));
            }
        }
    }
    for document in PROMISES {
        for (file, test) in tests(&read(&root.join(document))?) {
            let text = read(&root.join(&file));
            if !text.is_ok_and(|text| text.contains(&format!("fn {test}("))) {
                faults.push(format!("{document}: {file} has no test {test}"));
            }
        }
    }
    Ok(faults)
}

/// The files that a document links to, beside it in the repository.
fn links(text: &str) -> Vec<String> {
    let targets = text
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next());
    let files = targets.filter_map(|target| target.split('#').next());
    let inside = files.filter(|file| !file.is_empty() && !file.contains("://"));
    inside.map(str::to_owned).collect()
}

/// The tests that are written as `path/to/file.rs::name`.
fn tests(text: &str) -> Vec<(String, String)> {
    let spans = text.split('`').skip(1).step_by(2);
    let named = spans.filter_map(|span| span.split_once(".rs::"));
    named
        .map(|(file, test)| (format!("{file}.rs"), test.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{links, tests};

    #[test]
    fn links_to_files_are_found() {
        let text = "[a](docs/a.md), [b](docs/b.md#part), [c](https://example.com/c), [d](#here)";
        assert_eq!(links(text), ["docs/a.md", "docs/b.md"]);
    }

    #[test]
    fn named_tests_are_found() {
        let text = "| 48 bytes | `crates/a/tests/b.rs::holds` | and `other` |";
        let expected = ("crates/a/tests/b.rs".to_owned(), "holds".to_owned());
        assert_eq!(tests(text), [expected]);
    }
}
