//! Records as a table for spreadsheets (RFC 4180): one row a record, or one row for each partition
//! of a record that stands for many seeds.

use super::describe::describe;
use super::view::{Outcome, View};
use crate::cli::FilterArgs;

/// The names of the columns.
const COLUMNS: [&str; 20] = [
    "seq",
    "time",
    "event",
    "partition",
    "module",
    "token_label",
    "token_serial",
    "token_model",
    "token_firmware",
    "sources",
    "requests",
    "tls_versions",
    "tls_groups",
    "bytes",
    "checks",
    "function",
    "ckr",
    "duration_us",
    "credited_bits",
    "text",
];

/// The first row.
pub(crate) fn head() -> String {
    row(&COLUMNS.map(str::to_owned))
}

/// The rows of a record.
pub(crate) fn rows(record: &View, filter: &FilterArgs) -> String {
    let outcomes = record.outcomes().into_iter();
    let meant: Vec<_> = outcomes.filter(|it| filter.names(it.partition)).collect();
    if meant.is_empty() {
        return row(&cells(record, None, filter));
    }
    meant
        .iter()
        .map(|outcome| row(&cells(record, Some(outcome), filter)))
        .collect()
}

fn cells(record: &View, outcome: Option<&Outcome<'_>>, filter: &FilterArgs) -> [String; 20] {
    COLUMNS.map(|column| match column {
        "partition" | "ckr" | "duration_us" => {
            outcome.map_or_else(String::new, |it| it.text(column))
        }
        "token_serial" => {
            let of_many = outcome.map_or_else(String::new, |it| it.text("serial"));
            if of_many.is_empty() {
                record.token("serial")
            } else {
                of_many
            }
        }
        "token_label" | "token_model" | "token_firmware" => record.token(&column[6..]),
        "sources" => record.sources("name").join("; "),
        "requests" => record.sources("request").join("; "),
        "tls_versions" => record.sources("tls_version").join("; "),
        "tls_groups" => record.sources("tls_group").join("; "),
        "checks" => record.list("checks").join("; "),
        "text" => describe(record, filter),
        column => record.text(column),
    })
}

fn row(cells: &[String]) -> String {
    let cells: Vec<_> = cells.iter().map(|text| cell(text)).collect();
    format!("{}\r\n", cells.join(","))
}

/// A cell that a spreadsheet shows as it is. What could begin a formula gets an apostrophe in front.
fn cell(text: &str) -> String {
    let formula = text.starts_with([
        '=', '+', '-', '@', '\t', '\r', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}',
    ]);
    let text = if formula {
        format!("'{text}")
    } else {
        text.to_owned()
    };
    if text.contains(['"', ',', '\n', '\r', ';']) || formula {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::{cell, head, rows};
    use crate::audit::view::View;
    use crate::cli::FilterArgs;

    fn record(json: &str) -> View {
        View::parse(json.as_bytes()).expect("a record")
    }

    #[test]
    fn cells_are_quoted_and_never_formulas() {
        for (text, shown) in [
            ("issuing-ca", "issuing-ca"),
            ("a,b", "\"a,b\""),
            ("say \"hi\"", "\"say \"\"hi\"\"\""),
            ("=HYPERLINK(1)", "\"'=HYPERLINK(1)\""),
            ("+1", "\"'+1\""),
            ("-1", "\"'-1\""),
            ("@SUM(A1)", "\"'@SUM(A1)\""),
            ("\u{ff1d}1", "\"'\u{ff1d}1\""),
        ] {
            assert_eq!(cell(text), shown);
        }
    }

    #[test]
    fn a_record_of_many_seeds_has_a_row_for_each_partition_that_is_meant() {
        let many = record(
            r#"{"seq":7,"time":"2026-11-24T15:00:00Z","event":"seed","module":"/m.so","bytes":48,
                "seeds":[{"partition":"a","serial":"1","ckr":"CKR_OK","duration_us":5},
                         {"partition":"=b","serial":"2","ckr":"CKR_OK","duration_us":6}],
                "credited_bits":0,"prev":null}"#,
        );
        let mut filter = FilterArgs::default();
        let all = rows(&many, &filter);
        assert_eq!(all.matches("\r\n").count(), 2);
        assert!(
            all.starts_with("7,2026-11-24T15:00:00Z,seed,a,/m.so,,1,"),
            "{all}"
        );
        assert!(all.contains("seed,\"'=b\",/m.so,,2,"), "{all}");
        filter.partition = vec!["a".to_owned()];
        assert_eq!(rows(&many, &filter).matches("\r\n").count(), 1);
        assert_eq!(head().matches(',').count(), 19);
    }
}
