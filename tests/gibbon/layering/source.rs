//! Rust sources as the layering checks see them: code without comments and without the content of strings.

use std::{fs, path::Path};

/// A file's code. Comments and the characters of strings are spaces; line breaks stay where they are.
pub struct Source {
    /// From the repository's root, with `/`.
    pub path: String,
    code: String,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), code: without_comments_and_strings(text) }
    }

    /// The top-level module that the file belongs to: `engine` for `src/engine/answer.rs`, `main` for `src/main.rs`.
    pub fn module(&self) -> &str {
        let inside = self.path.strip_prefix("src/").unwrap_or(&self.path);
        let first = inside.split('/').next().unwrap_or(inside);
        first.strip_suffix(".rs").unwrap_or(first)
    }

    /// Lines of code with their numbers, from 1.
    pub fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.code.lines())
    }

    /// Every identifier and keyword that is not a field or a method, with its line.
    pub fn words(&self) -> impl Iterator<Item = (usize, &str)> {
        self.lines().flat_map(|(line, code)| {
            code.split(|c: char| !is_word(c) && c != '.')
                .flat_map(|path| path.split('.').take(1))
                .filter(|word| !word.is_empty())
                .map(move |word| (line, word))
        })
    }

    /// Names of macros that are called, with their lines.
    pub fn macros(&self) -> Vec<(usize, String)> {
        let mut found = Vec::new();
        for (line, code) in self.lines() {
            for (at, _) in code.match_indices('!') {
                let called = !code[at + 1..].starts_with('=');
                let name = code[..at].rsplit(|c: char| !is_word(c)).next().unwrap_or_default();
                if called && !name.is_empty() {
                    found.push((line, name.to_owned()));
                }
            }
        }
        found
    }

    /// Declarations of statics up to their value, with their lines.
    pub fn statics(&self) -> Vec<(usize, String)> {
        let starts = self.code.match_indices("static").filter(|(at, word)| {
            let before = self.code[..*at].chars().next_back();
            let after = self.code[at + word.len()..].chars().next();
            // `&'static` is a lifetime.
            before.is_none_or(|c| !is_word(c) && c != '\'') && after.is_some_and(char::is_whitespace)
        });
        starts
            .map(|(at, _)| {
                let rest = &self.code[at..];
                let end = rest.find(['=', ';']).unwrap_or(rest.len());
                (self.line_of(at), rest[..end].trim().to_owned())
            })
            .collect()
    }

    /// Top-level modules of this package that the code names, with their lines: `crate::store`, `crate::{store, tui}`,
    /// and paths of `super` that end at the root.
    pub fn modules_used(&self) -> Vec<(usize, String)> {
        let mut found = Vec::new();
        for root in ["crate", "super"] {
            for (at, _) in self.code.match_indices(root) {
                let is_start = self.code[..at].trim_end().chars().next_back().is_none_or(|c| c != ':');
                let is_whole = self.code[..at].chars().next_back().is_none_or(|c| !is_word(c));
                if is_start && is_whole {
                    let (supers, rest) = self.climb(at);
                    let reaches_root = root == "crate" || supers >= self.depth_at(at);
                    if reaches_root && let Some(rest) = rest {
                        found.extend(heads(rest).map(|head| (self.line_of(at), head)));
                    }
                }
            }
        }
        found
    }

    /// How many `super` a path that starts at `at` begins with, and what follows them (or `crate`) after `::`.
    fn climb(&self, at: usize) -> (usize, Option<&str>) {
        let mut supers = 0;
        let mut rest = &self.code[at..];
        while let Some(after) = rest.strip_prefix("super") {
            let Some(after) = after.trim_start().strip_prefix("::") else { return (supers + 1, None) };
            supers += 1;
            rest = after.trim_start();
        }
        match rest.strip_prefix("crate") {
            Some(after) => (supers, after.trim_start().strip_prefix("::").map(str::trim_start)),
            None => (supers, Some(rest)),
        }
    }

    /// How many modules deep the code at `at` is: 1 in `src/store/mod.rs`, 2 in a `mod tests` there.
    fn depth_at(&self, at: usize) -> usize {
        let inside = self.path.strip_prefix("src/").unwrap_or(&self.path);
        let own = match inside {
            "lib.rs" | "main.rs" => 0,
            _ => inside.trim_end_matches("/mod.rs").split('/').count(),
        };
        own + inline_modules(&self.code[..at])
    }

    fn line_of(&self, at: usize) -> usize {
        1 + self.code[..at].matches('\n').count()
    }
}

/// The sources below `folders` of `root`, in the order of their paths.
pub fn read(root: &Path, folders: &[&str]) -> Vec<Source> {
    let mut sources = Vec::new();
    for folder in folders {
        read_folder(root, &root.join(folder), &mut sources);
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(sources.len() > 100, "only {} sources found below {}", sources.len(), root.display());
    sources
}

fn read_folder(root: &Path, folder: &Path, sources: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_folder(root, &path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let relative: Vec<_> =
                path.strip_prefix(root).unwrap().iter().map(|part| part.to_string_lossy()).collect();
            sources.push(Source::new(&relative.join("/"), &fs::read_to_string(&path).unwrap()));
        }
    }
}

/// The modules in the table of `lib.rs`, in its order.
pub fn documented_order(library: &str) -> Vec<String> {
    // A module that a feature brings is no link: without the feature it would lead nowhere.
    let rows = library.lines().filter_map(|line| line.strip_prefix("//! | "));
    let names = rows.filter_map(|row| row.trim_start_matches('[').strip_prefix('`'));
    names.filter_map(|row| row.split('`').next()).map(str::to_owned).collect()
}

/// The modules that `lib.rs` declares, sorted.
pub fn declared_modules(library: &str) -> Vec<String> {
    let mut names: Vec<String> = library
        .lines()
        .filter_map(|line| line.trim_start_matches("pub ").strip_prefix("mod ")?.strip_suffix(';'))
        .map(str::to_owned)
        .collect();
    names.sort();
    names
}

/// The identifiers and keywords of a piece of code.
pub fn words_of(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c: char| !is_word(c)).filter(|word| !word.is_empty())
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The first names of a path, or of each path in a group: `a` of `a::b`, `a` and `c` of `{a::{x, y}, c}`.
fn heads(path: &str) -> impl Iterator<Item = String> {
    let mut heads = Vec::new();
    match path.strip_prefix('{') {
        None => heads.extend(words_of(path).next().map(str::to_owned)),
        Some(group) => {
            let (mut depth, mut start) = (0usize, 0);
            for (at, c) in group.char_indices() {
                let ends = depth == 0 && (c == ',' || c == '}');
                if ends {
                    heads.extend(words_of(&group[start..at]).next().map(str::to_owned));
                    start = at + 1;
                }
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    _ => {}
                }
            }
        }
    }
    heads.into_iter()
}

/// How many modules are open at the end of `code`.
fn inline_modules(code: &str) -> usize {
    let mut open = Vec::new();
    for (at, c) in code.char_indices() {
        match c {
            '{' => {
                let head = code[..at].rsplit([';', '{', '}']).next().unwrap_or_default();
                let mut words = words_of(head).collect::<Vec<_>>().into_iter().rev();
                open.push(words.nth(1) == Some("mod"));
            }
            '}' => drop(open.pop()),
            _ => {}
        }
    }
    open.into_iter().filter(|is_module| *is_module).count()
}

/// `text` with spaces for comments and for what strings and characters hold.
fn without_comments_and_strings(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let blank = blank_length(rest, code.chars().next_back());
        if blank == 0 {
            code.push(c);
            rest = &rest[c.len_utf8()..];
        } else {
            code.extend(rest[..blank].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
            rest = &rest[blank..];
        }
    }
    code
}

/// Bytes of the comment, string or character that `text` starts with; 0 where it starts with code.
fn blank_length(text: &str, before: Option<char>) -> usize {
    let in_word = before.is_some_and(is_word);
    let raw = text.strip_prefix('b').unwrap_or(text).strip_prefix('r');
    if text.starts_with("//") {
        return text.find('\n').unwrap_or(text.len());
    }
    if text.starts_with("/*") {
        return block_comment_length(text);
    }
    if let (false, Some(raw)) = (in_word, raw) {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if raw[hashes..].starts_with('"') {
            let start = text.len() - raw.len() + hashes + 1;
            let end = format!("\"{}", "#".repeat(hashes));
            return text[start..].find(&end).map_or(text.len(), |at| start + at + end.len());
        }
    }
    match text.chars().next() {
        Some('"') => quoted_length(text, '"'),
        Some('\'') if is_character(text) => quoted_length(text, '\''),
        _ => 0,
    }
}

/// A character and not a lifetime: `'a'`, `'\n'`.
fn is_character(text: &str) -> bool {
    let mut inside = text.chars().skip(1);
    match inside.next() {
        Some('\\') => true,
        Some(_) => inside.next() == Some('\''),
        None => false,
    }
}

fn quoted_length(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

/// Block comments nest.
fn block_comment_length(text: &str) -> usize {
    let (mut depth, mut at) = (0usize, 0);
    while at < text.len() {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

#[test]
fn comments_and_strings_become_spaces() {
    let text =
        "a /* b /* c */ \" */ 'x' '\\'' \"d \\\" // e\" // f\ng<'a>(b\"h\", r##\"i\"# \"##, br\"j\") 'k: ";
    let code = without_comments_and_strings(text);
    let words: Vec<&str> = words_of(&code).collect();
    assert_eq!(words, ["a", "g", "a", "b", "k"]);
    assert_eq!(code.lines().count(), 2);
}

#[test]
fn paths_give_their_first_names() {
    let names = |path: &str| heads(path).collect::<Vec<_>>();
    assert_eq!(names("a::b;"), ["a"]);
    assert_eq!(names("{\n a::{x, y::{z}},\n self, c as d,\n};"), ["a", "self", "c"]);
    assert_eq!(inline_modules("mod a { fn b() {} mod c { struct D {"), 2);
    assert_eq!(inline_modules("mod a { } pub mod b;"), 0);
}
