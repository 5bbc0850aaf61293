//! What holds of each source file.

use std::path::Path;

use super::{Faults, files, from_root, read};
use crate::failure::Failure;

/// The only files and folders with unsafe code.
const FENCES: &[&str] = &[
    // C_Initialize's reserved pointer, which NSS wants.
    "crates/tokens/src/nss_args.rs",
    // C_GetTokenInfo of tokens whose clock the cryptoki crate cannot read.
    "crates/tokens/src/token_info.rs",
    // A module is called from C, and its tests call it as C does.
    "testkit/faulty-token/src/ffi.rs",
    "testkit/faulty-token/src/ffi/",
    "testkit/faulty-token/tests/c_edge.rs",
    // It crashes on demand, and is hostile on demand.
    "testkit/faulty-token/src/crash.rs",
    "testkit/faulty-token/src/intrude.rs",
];

/// Longest file, in lines. About 400 is what to aim at.
const LONGEST: usize = 500;

pub(super) fn outside_the_fences(root: &Path) -> Result<Faults, Failure> {
    let mut faults = Vec::new();
    for path in files(root, "rs")? {
        let name = from_root(&path, root);
        if FENCES.iter().any(|fence| name.starts_with(fence)) {
            continue;
        }
        for (number, line) in read(&path)?.lines().enumerate() {
            if has_unsafe_code(line) {
                faults.push(format!(
                    "{name}:{}: unsafe code outside its fences",
                    number + 1
                ));
            }
        }
    }
    Ok(faults)
}

/// Whether a line opens something unsafe, or lets it in.
fn has_unsafe_code(line: &str) -> bool {
    let code = line.split("//").next().unwrap_or_default();
    let mut words = code.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
    let keyword = "unsafe";
    // A text about unsafe code is no unsafe code.
    let quoted = code
        .find('"')
        .is_some_and(|quote| code.find(keyword) > Some(quote));
    !quoted && words.any(|word| word == keyword || word == "unsafe_code")
}

pub(super) fn too_long(root: &Path) -> Result<Faults, Failure> {
    let mut faults = Vec::new();
    for path in files(root, "rs")? {
        let lines = read(&path)?.lines().count();
        if lines > LONGEST {
            let name = from_root(&path, root);
            faults.push(format!("{name}: {lines} lines; split it by meaning"));
        }
    }
    Ok(faults)
}

#[cfg(test)]
mod tests {
    use super::has_unsafe_code;

    #[test]
    fn unsafe_code_differs_from_mentions_of_it() {
        let keyword = "unsafe";
        for code in ["{ 1 }", "fn f()", "impl Send for A {}", "extern \"C\" {}"] {
            assert!(has_unsafe_code(&format!("    {keyword} {code}")), "{code}");
        }
        assert!(has_unsafe_code(&format!("#![allow({keyword}_code)]")));
        assert!(!has_unsafe_code(&format!("// {keyword} is not here")));
        assert!(!has_unsafe_code(&format!("let text = \"{keyword} code\";")));
        assert!(!has_unsafe_code("let safe = 1;"));
    }
}
