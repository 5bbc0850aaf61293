//! Finding the built module.

use std::env;
use std::path::{Path, PathBuf};

use crate::{Error, MODULE_FILE};

/// The built module, in the folder of the running program or the one above.
///
/// Cargo builds it whenever it builds this crate as a (dev-)dependency, into the `deps` folder of
/// the profile, where tests run from; examples and binaries run from a folder beside it or from
/// the one above.
///
/// # Errors
/// [`Error::NoModule`] where it is in none of these.
pub fn module_path() -> Result<PathBuf, Error> {
    let program = env::current_exe().map_err(Error::file("/proc/self/exe"))?;
    let folder = program.parent().unwrap_or(Path::new("/"));
    // `deps` comes first: what cargo links into the folder above is as old as its last build there.
    let searched = vec![
        folder.join("deps"),
        folder.with_file_name("deps"),
        folder.to_owned(),
    ];
    let found = searched
        .iter()
        .map(|folder| folder.join(MODULE_FILE))
        .find(|path| path.is_file());
    found.ok_or(Error::NoModule { searched })
}
