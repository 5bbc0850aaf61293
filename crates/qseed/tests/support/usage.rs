//! `usage.jsonl`, as a test reads it.

use serde_json::Value;

/// The bytes of each month, by its first day, in the order in which the file names them first.
pub fn months(text: &str) -> Vec<(String, i64)> {
    let mut months: Vec<(String, i64)> = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        let change: Value = serde_json::from_str(line).expect("JSON");
        let Some(began) = change["bytes"][0].as_str() else {
            continue;
        };
        let bytes = change["bytes"][1].as_i64().expect("a number");
        match months.iter_mut().find(|(month, _)| month == began) {
            Some((_, sum)) => *sum += bytes,
            None => months.push((began.to_owned(), bytes)),
        }
    }
    months
}
