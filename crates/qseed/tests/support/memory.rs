//! All that lies in a process's memory, and what is found in it. Needs root.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;

/// The bytes of a needle that are looked up at each place: a part of a secret gives away as much.
const KEY: usize = 8;

/// Each page that is in memory, neighbours together, with the name of its mapping.
pub struct Memory(Vec<(String, Vec<u8>)>);

impl Memory {
    /// Of a process that runs. What is mapped from a file and cannot be written is left out.
    pub fn of(process: u32) -> Self {
        let open = |name: &str| File::open(format!("/proc/{process}/{name}"));
        let mut maps = String::new();
        let read = open("maps").and_then(|mut file| file.read_to_string(&mut maps));
        read.expect("the tests run as root");
        let pagemap = open("pagemap").expect("the tests run as root");
        let mut memory = open("mem").expect("the tests run as root");
        let page = rustix::param::page_size();
        let step = page as u64;
        let mut found: Vec<(String, Vec<u8>)> = Vec::new();
        for line in maps.lines() {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let name = fields.get(5).copied().unwrap_or("anonymous");
            let is_file = name.starts_with('/');
            if name == "[vvar]" || name == "[vsyscall]" || is_file && !fields[1].contains('w') {
                continue;
            }
            let (start, end) = fields[0].split_once('-').expect("two addresses");
            let [start, end] = [start, end].map(|it| u64::from_str_radix(it, 16).expect("hex"));
            let mut last = None;
            for address in (start..end).step_by(page) {
                let mut entry = [0; 8];
                let read = pagemap.read_at(&mut entry, address / step * 8);
                // Bits 63 and 62: present, and in swap.
                if read.is_err() || u64::from_ne_bytes(entry) >> 62 == 0 {
                    continue;
                }
                let mut content = vec![0; page];
                let at = memory.seek(SeekFrom::Start(address));
                // A mapping may be gone by now.
                if at.and_then(|_| memory.read_exact(&mut content)).is_err() {
                    continue;
                }
                match found.last_mut() {
                    Some((_, before)) if last == Some(address) => before.extend(content),
                    _ => found.push((format!("{name} {}", fields[1]), content)),
                }
                last = Some(address + step);
            }
        }
        Self(found)
    }

    /// The number of bytes.
    pub fn len(&self) -> usize {
        self.0.iter().map(|(_, content)| content.len()).sum()
    }

    /// Where each needle begins, by the needle's number.
    pub fn find(&self, needles: &[Vec<u8>]) -> Vec<Vec<String>> {
        let mut places = vec![Vec::new(); needles.len()];
        let search = Search::new(needles);
        for (name, content) in &self.0 {
            search.run(content, |needle, at| {
                places[needle].push(format!("{name} +{at:#x}"));
            });
        }
        places
    }
}

/// Looks for many needles at once.
pub struct Search<'a> {
    needles: &'a [Vec<u8>],
    begins: Vec<bool>,
    by_key: HashMap<[u8; KEY], Vec<usize>>,
}

impl<'a> Search<'a> {
    pub fn new(needles: &'a [Vec<u8>]) -> Self {
        let mut begins = vec![false; 1 << 16];
        let mut by_key = HashMap::<_, Vec<_>>::new();
        for (number, needle) in needles.iter().enumerate() {
            let key = needle.first_chunk().expect("a needle is longer than a key");
            begins[pair(needle)] = true;
            by_key.entry(*key).or_default().push(number);
        }
        Self {
            needles,
            begins,
            by_key,
        }
    }

    /// Calls `found` with each needle's number and place.
    pub fn run(&self, content: &[u8], mut found: impl FnMut(usize, usize)) {
        for (at, key) in content.windows(KEY).enumerate() {
            if !self.begins[pair(key)] {
                continue;
            }
            let key: &[u8; KEY] = key.try_into().expect("a window's size");
            for number in self.by_key.get(key).into_iter().flatten() {
                if content[at..].starts_with(&self.needles[*number]) {
                    found(*number, at);
                }
            }
        }
    }
}

fn pair(bytes: &[u8]) -> usize {
    usize::from(u16::from_ne_bytes([bytes[0], bytes[1]]))
}
