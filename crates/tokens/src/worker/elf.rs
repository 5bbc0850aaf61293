//! What machine a library is made for. If it is another one, `dlopen` only says that there is no such
//! file.

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The part of an ELF file's header that says what it is made for.
const HEADER: usize = 20;

/// What `path` is made for, where it is an ELF file for another machine than this program's.
pub(super) fn foreign_machine(path: &Path) -> Option<String> {
    let own = header(Path::new("/proc/self/exe"))?;
    foreign(header(path)?, own)
}

fn header(path: &Path) -> Option<[u8; HEADER]> {
    // Opening a pipe would wait for a writer.
    if !path.metadata().ok()?.is_file() {
        return None;
    }
    let mut header = [0; HEADER];
    File::open(path).ok()?.read_exact(&mut header).ok()?;
    header.starts_with(b"\x7fELF").then_some(header)
}

fn foreign(file: [u8; HEADER], own: [u8; HEADER]) -> Option<String> {
    (kind(file) != kind(own)).then(|| name(file))
}

/// The word's size and the bytes' order (`EI_CLASS`, `EI_DATA`), and the number of the machine.
fn kind(header: [u8; HEADER]) -> (u8, u8, u16) {
    let [.., low, high] = header;
    let machine = match header[5] {
        2 => u16::from_be_bytes([low, high]),
        _ => u16::from_le_bytes([low, high]),
    };
    (header[4], header[5], machine)
}

/// The machine as `file` and `uname -m` name it; the numbers are from the ELF specification.
fn name(header: [u8; HEADER]) -> String {
    let (class, _, machine) = kind(header);
    let bits = if class == 1 { 32 } else { 64 };
    let name = match machine {
        3 => "x86",
        8 => "MIPS",
        20 | 21 => "PowerPC",
        22 => "S/390",
        40 => "ARM",
        62 => "x86-64",
        183 => "ARM (aarch64)",
        243 => "RISC-V",
        258 => "LoongArch",
        other => return format!("a machine of ELF number {other}, {bits} bits"),
    };
    format!("{name}, {bits} bits")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{HEADER, foreign, foreign_machine};

    fn elf(class: u8, order: u8, machine: [u8; 2]) -> [u8; HEADER] {
        let mut header = [0; HEADER];
        header[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', class, order]);
        header[18..].copy_from_slice(&machine);
        header
    }

    #[test]
    fn a_library_for_another_machine_is_recognised() {
        let own = elf(2, 1, [62, 0]);
        assert_eq!(foreign(own, own), None);
        let says = |file| foreign(file, own).expect("another machine");
        assert_eq!(says(elf(2, 1, [183, 0])), "ARM (aarch64), 64 bits");
        assert_eq!(says(elf(2, 2, [0, 22])), "S/390, 64 bits");
        assert_eq!(says(elf(1, 1, [62, 0])), "x86-64, 32 bits");
    }

    #[test]
    fn a_file_that_is_no_library_is_for_no_machine() {
        assert_eq!(foreign_machine(Path::new("/proc/self/exe")), None);
        assert_eq!(foreign_machine(Path::new("/dev/null")), None);
        assert_eq!(foreign_machine(Path::new("/")), None);
    }
}
