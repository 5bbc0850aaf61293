//! Where the steering file is.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use crate::{Error, STEERING_FILE, STEERING_VARIABLE};

/// The file that `$QSEED_FAULTY_TOKEN` names, or else the one in the module's own folder.
pub(super) fn steering_file() -> Result<PathBuf, Error> {
    let path = match env::var_os(STEERING_VARIABLE) {
        Some(path) => PathBuf::from(path),
        None => beside_module()?,
    };
    if path.is_file() {
        return Ok(path);
    }
    Err(Error::Steering(format!(
        "there is none at {}; ${STEERING_VARIABLE} names it, or it lies beside the module",
        path.display()
    )))
}

fn beside_module() -> Result<PathBuf, Error> {
    let maps = Path::new("/proc/self/maps");
    let text = fs::read_to_string(maps).map_err(Error::file(maps))?;
    // This function is in the module, so its address tells which file the module is.
    let module = mapped_file(&text, beside_module as *const () as usize).unwrap_or_default();
    Ok(Path::new(module).with_file_name(STEERING_FILE))
}

/// The file that is mapped at an address (proc(5), `/proc/pid/maps`).
fn mapped_file(maps: &str, address: usize) -> Option<&str> {
    maps.lines().find_map(|line| {
        let (range, rest) = line.split_once(' ')?;
        let (from, to) = range.split_once('-')?;
        let hex = |text| usize::from_str_radix(text, 16).ok();
        let path = &rest[rest.find('/')?..];
        (hex(from)?..hex(to)?).contains(&address).then_some(path)
    })
}

#[cfg(test)]
mod tests {
    use super::mapped_file;

    #[test]
    fn the_file_at_an_address() {
        let maps = "\
            1000-2000 r--p 00000000 fe:00 1                          /lib/a b.so\n\
            2000-3000 rw-p 00000000 00:00 0 \n\
            3000-4000 r-xp 00001000 fe:00 2                          /lib/c.so\n";
        assert_eq!(mapped_file(maps, 0x1fff), Some("/lib/a b.so"));
        assert_eq!(mapped_file(maps, 0x2000), None);
        assert_eq!(mapped_file(maps, 0x3000), Some("/lib/c.so"));
    }
}
