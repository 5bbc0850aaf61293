//! What one source file says about modules: its imports, its other paths, its test modules.

/// What a file names of its own crate, code that only tests see left out.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) paths: Vec<Named>,
    /// `mod name;` under `#[cfg(test)]`.
    pub(super) test_modules: Vec<String>,
}

/// A path such as `super::guard::Guard`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) path: Vec<String>,
    /// The name under which `use` brings it into the file.
    pub(super) imported_as: Option<String>,
    pub(super) line: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Token {
    text: String,
    line: usize,
}

/// Reads a file.
pub(super) fn source(text: &str) -> Source {
    let mut reader = Reader {
        tokens: tokens(text),
        at: 0,
        inner_modules: Vec::new(),
        depth: 0,
        found: Source::default(),
    };
    while reader.at < reader.tokens.len() {
        reader.step();
    }
    reader.found
}

struct Reader {
    tokens: Vec<Token>,
    at: usize,
    /// Depths of braces at which modules inside this file began: `super` means one less in them.
    inner_modules: Vec<usize>,
    depth: usize,
    found: Source,
}

impl Reader {
    fn text(&self, at: usize) -> &str {
        self.tokens.get(at).map_or("", |token| &token.text)
    }

    fn is(&self, at: usize, texts: &[&str]) -> bool {
        let pairs = texts.iter().enumerate();
        pairs
            .into_iter()
            .all(|(more, text)| self.text(at + more) == *text)
    }

    fn step(&mut self) {
        if self.is(self.at, &["#", "[", "cfg", "(", "test", ")", "]"]) {
            self.at += 7;
            return self.skip_test_item();
        }
        match self.text(self.at) {
            "{" => self.depth += 1,
            "}" => {
                self.depth = self.depth.saturating_sub(1);
                self.inner_modules.retain(|began| *began < self.depth);
            }
            "mod" if self.text(self.at + 2) == "{" => self.inner_modules.push(self.depth),
            "use" => {
                self.at += 1;
                return self.path(Vec::new(), true);
            }
            "crate" | "super" if self.text(self.at + 1) == "::" => {
                return self.path(Vec::new(), false);
            }
            _ => {}
        }
        self.at += 1;
    }

    /// Skips the item below `#[cfg(test)]`.
    fn skip_test_item(&mut self) {
        let mut depth = 0_usize;
        let mut is_use = false;
        while self.at < self.tokens.len() {
            if depth == 0 && self.text(self.at) == "mod" && self.text(self.at + 2) == ";" {
                let name = self.text(self.at + 1).to_owned();
                self.found.test_modules.push(name);
            }
            is_use |= depth == 0 && self.text(self.at) == "use";
            let ends = match self.text(self.at) {
                "{" | "(" | "[" => {
                    depth += 1;
                    false
                }
                ")" | "]" => {
                    depth = depth.saturating_sub(1);
                    false
                }
                "}" => {
                    depth = depth.saturating_sub(1);
                    depth == 0 && !is_use
                }
                ";" | "," => depth == 0,
                _ => false,
            };
            self.at += 1;
            if ends {
                return;
            }
        }
    }

    /// Reads a path, or the whole tree of paths of a `use`.
    fn path(&mut self, mut path: Vec<String>, is_use: bool) {
        let line = self.tokens.get(self.at).map_or(0, |token| token.line);
        loop {
            match self.text(self.at) {
                "{" if is_use => {
                    self.at += 1;
                    while !["}", ""].contains(&self.text(self.at)) {
                        self.path(path.clone(), true);
                        if self.text(self.at) == "," {
                            self.at += 1;
                        }
                    }
                    self.at += 1;
                    return;
                }
                word if is_name(word) || word == "*" => path.push(word.to_owned()),
                _ => {
                    // Something that is not understood must not hold up the reading.
                    self.at += usize::from(is_use);
                    break;
                }
            }
            self.at += 1;
            let goes_on = is_name(self.text(self.at + 1)) || is_use;
            if self.text(self.at) != "::" || !goes_on {
                break;
            }
            self.at += 1;
        }
        let mut imported_as = path.last().cloned().filter(|_| is_use);
        if is_use && path.last().is_some_and(|last| last == "self") {
            path.pop();
            imported_as = path.last().cloned();
        }
        if is_use && self.text(self.at) == "as" {
            imported_as = Some(self.text(self.at + 1).to_owned());
            self.at += 2;
        }
        let inner = self.inner_modules.len();
        let up = path.iter().take_while(|part| *part == "super").count();
        if inner > 0 && up > 0 {
            path.drain(..inner.min(up));
            path.insert(0, "self".to_owned());
        }
        self.found.paths.push(Named {
            path,
            imported_as,
            line,
        });
    }
}

fn is_name(word: &str) -> bool {
    word.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

/// The words and signs of Rust code, without comments, strings and characters.
fn tokens(text: &str) -> Vec<Token> {
    let letters: Vec<char> = text.chars().collect();
    let mut found = Vec::new();
    let mut at = 0;
    let mut line = 1;
    while at < letters.len() {
        let end = end_of_token(&letters, at);
        let word: String = letters[at..end].iter().collect();
        let code = is_name(&word) && !word.ends_with(['"', '#'])
            || word == "::"
            || word.len() == 1 && !word.trim().is_empty();
        if code {
            found.push(Token {
                text: word.clone(),
                line,
            });
        }
        line += word.matches('\n').count();
        at = end;
    }
    found
}

/// Where the word, sign, string or comment that begins at `at` ends.
fn end_of_token(letters: &[char], at: usize) -> usize {
    let is = |text: &str, from: usize| {
        let found = letters.iter().skip(from).take(text.len());
        found.copied().eq(text.chars())
    };
    let find = |text: &str, from: usize| {
        let mut places = from..letters.len();
        places
            .find(|place| is(text, *place))
            .map_or(letters.len(), |place| place + text.len())
    };
    match letters[at] {
        '/' if is("//", at) => find("\n", at),
        '/' if is("/*", at) => find("*/", at + 2),
        ':' if is("::", at) => at + 2,
        '"' => end_of_string(letters, at + 1),
        'r' if is("r\"", at) => find("\"", at + 2),
        'r' if is("r#\"", at) => find("\"#", at + 3),
        'b' | 'c' if letters.get(at + 1) == Some(&'"') => end_of_string(letters, at + 2),
        // A character, not a lifetime.
        '\'' if letters.get(at + 1) == Some(&'\\') => find("'", at + 3),
        '\'' if letters.get(at + 2) == Some(&'\'') => at + 3,
        letter if letter.is_alphanumeric() || letter == '_' => {
            let word = letters.iter().skip(at);
            at + word
                .take_while(|letter| letter.is_alphanumeric() || **letter == '_')
                .count()
        }
        _ => at + 1,
    }
}

fn end_of_string(letters: &[char], mut at: usize) -> usize {
    while at < letters.len() && letters[at] != '"' {
        at += if letters[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(letters.len())
}

#[cfg(test)]
mod tests {
    use super::source;

    fn paths(text: &str) -> Vec<String> {
        let named = source(text).paths.into_iter();
        named.map(|named| named.path.join("::")).collect()
    }

    #[test]
    fn imports_are_read_as_the_trees_that_they_are() {
        let text = "use crate::{a::{self, B}, c::*};\npub(crate) use super::d as e;";
        assert_eq!(
            paths(text),
            ["crate::a", "crate::a::B", "crate::c::*", "super::d"]
        );
        let found = source(text).paths;
        assert_eq!(found[0].imported_as.as_deref(), Some("a"));
        assert_eq!(found[3].imported_as.as_deref(), Some("e"));
        assert_eq!(found[3].line, 2);
    }

    #[test]
    fn paths_in_code_are_read() {
        let text = "fn f(x: &'a super::A<'a>) -> crate::b::C { crate::d::e::<u8>('\\'', '\"') }";
        assert_eq!(paths(text), ["super::A", "crate::b::C", "crate::d::e"]);
    }

    #[test]
    fn comments_strings_and_tests_are_passed_over() {
        let text = "// use crate::a;\n/* use crate::b; */ const C: &str = \"use crate::c; \\\" \";\n\
                    const R: &str = r#\"use crate::r;\"#;\n\
                    #[cfg(test)]\nmod tests { use crate::d; fn f() { super::e() } }\n\
                    #[cfg(test)]\nuse crate::{f, g};\n#[cfg(test)]\nmod h;\nuse crate::i;";
        assert_eq!(paths(text), ["crate::i"]);
        assert_eq!(source(text).test_modules, ["h"]);
    }

    #[test]
    fn super_in_a_module_inside_the_file_is_the_file() {
        assert_eq!(
            paths("mod a { use super::B; use super::super::C; } use super::D;"),
            ["self::B", "self::super::C", "super::D"]
        );
    }
}
