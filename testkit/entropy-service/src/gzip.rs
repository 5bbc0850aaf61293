//! Just enough gzip (RFC 1952) for a body that a client did not ask for: stored blocks.

/// The longest stored block of deflate (RFC 1951 section 3.2.4).
const STORED_MAX: usize = 0xFFFF;

/// Wraps `plain` as a gzip file that any decompressor reads.
pub(crate) fn gzip(plain: &[u8]) -> Vec<u8> {
    // Deflate, no flags, no time, no extra flags, unknown system.
    let mut file = vec![0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 0xFF];
    let blocks = plain.len().div_ceil(STORED_MAX).max(1);
    for number in 0..blocks {
        let block = &plain[number * STORED_MAX..plain.len().min((number + 1) * STORED_MAX)];
        let length = u16::try_from(block.len()).expect("cut to 16 bits of length");
        file.push(u8::from(number + 1 == blocks));
        file.extend(length.to_le_bytes());
        file.extend((!length).to_le_bytes());
        file.extend(block);
    }
    file.extend(crc32(plain).to_le_bytes());
    let length = u32::try_from(plain.len()).expect("answers are far below 4 GiB");
    file.extend(length.to_le_bytes());
    file
}

fn crc32(bytes: &[u8]) -> u32 {
    const POLYNOMIAL: u32 = 0xEDB8_8320;
    let mut crc = !0;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (POLYNOMIAL & (crc & 1).wrapping_neg());
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use super::{crc32, gzip};

    #[test]
    fn the_checksum_is_the_known_one() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }

    #[test]
    fn the_gzip_program_reads_it() {
        let plain: Vec<u8> = (0..200_000_u32).map(|n| n.to_le_bytes()[1]).collect();
        let mut gunzip = Command::new("gzip")
            .args(["--decompress", "--stdout"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("gzip is on every Linux machine");
        let mut stdin = gunzip.stdin.take().expect("piped");
        let file = gzip(&plain);
        let writer = std::thread::spawn(move || stdin.write_all(&file));
        let output = gunzip.wait_with_output().expect("ran");
        writer.join().expect("no panic").expect("written");
        assert!(output.status.success());
        assert_eq!(output.stdout, plain);
    }
}
