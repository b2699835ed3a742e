//! Manual pages: the macros of `man` and `mdoc` as headings and text.
//!
//! This is no typesetter: what a macro means for sections and paragraphs is kept, what it means for fonts, indentation
//! and page breaks is not, and definitions and conditions are left out.

use std::path::Path;

use super::{Converted, DocumentKind, text::Text};

/// How much of a file is searched for the macros of a manual page.
const PROBE_BYTES: usize = 16 << 10;

/// Extensions of manual pages: `1`, `3p`, `1ssl`, `mdoc`.
pub(super) fn is_section(extension: &str) -> bool {
    let mut characters = extension.chars();
    let is_numbered = characters.next().is_some_and(|first| matches!(first, '1'..='9'));
    let has_suffix = extension.len() <= 5 && characters.all(|character| character.is_ascii_lowercase());
    matches!(extension, "man" | "mdoc" | "n" | "l") || (is_numbered && has_suffix)
}

/// Whether a file has the macros that a manual page begins with.
pub(super) fn is_man(bytes: &[u8]) -> bool {
    let probe = &bytes[..bytes.len().min(PROBE_BYTES)];
    let macros: [&[u8]; 5] = [b".TH ", b".SH ", b".Dd ", b".Sh ", b".so "];
    probe.split(|byte| *byte == b'\n').any(|line| macros.iter().any(|name| line.starts_with(name)))
}

pub(super) fn convert(source: &str, name: &Path) -> Result<Converted, String> {
    let mut page = Page::default();
    let lines: Vec<&str> = source.lines().collect();
    let mut at = 0;
    while at < lines.len() {
        let skipped =
            skipped_until(lines[at]).and_then(|end| lines[at + 1..].iter().position(|line| end.is_at(line)));
        match skipped {
            Some(skipped) => at += skipped + 2,
            None => {
                page.line(lines[at])?;
                at += 1;
            }
        }
    }
    page.end_paragraph()?;
    let title = page.title.take().unwrap_or_else(|| super::file_name(name));
    Ok(page.text.finish(DocumentKind::Text, Some(title)))
}

/// What ends something that is not text.
enum End {
    /// A line of just this.
    Line(String),
    /// The brace that closes a condition.
    Brace,
}

impl End {
    fn is_at(&self, line: &str) -> bool {
        match self {
            Self::Line(end) => line.trim_end() == end,
            Self::Brace => line.trim_end().ends_with("\\}"),
        }
    }
}

/// Where a part ends that is not text: the definition of a macro, a condition, or what a typesetter ignores.
fn skipped_until(line: &str) -> Option<End> {
    let rest = line.strip_prefix('.')?.trim();
    let mut words = rest.split_whitespace();
    match words.next()? {
        "ig" => Some(End::Line(format!(".{}", words.next().unwrap_or(".")))),
        "de" | "am" | "de1" => Some(End::Line(format!(".{}", words.nth(1).unwrap_or(".")))),
        "if" | "ie" | "el" if rest.ends_with("\\{\\") || rest.ends_with("\\{") => Some(End::Brace),
        _ => None,
    }
}

#[derive(Default)]
struct Page {
    text: Text,
    title: Option<String>,
    /// The program's name, which `.Nm` repeats.
    program: String,
    paragraph: String,
    /// Lines stay lines.
    is_literal: bool,
    /// The next line is the term that a list explains.
    wants_term: bool,
    /// The next line is a section's heading of this level.
    wants_heading: Option<usize>,
}

impl Page {
    fn line(&mut self, line: &str) -> Result<(), String> {
        match line.strip_prefix(['.', '\'']) {
            Some(request) => self.request(request.trim_start()),
            None if line.trim().is_empty() => self.end_paragraph(),
            None => self.words(&without_escapes(line)),
        }
    }

    fn request(&mut self, request: &str) -> Result<(), String> {
        let (name, rest) = request.split_once(char::is_whitespace).unwrap_or((request, ""));
        let arguments = arguments(rest);
        match name {
            "TH" | "Dt" => {
                let section = arguments.get(1).map(|section| format!("({section})")).unwrap_or_default();
                self.title = arguments.first().map(|title| format!("{title}{section}"));
            }
            "SH" | "Sh" => self.heading(1, &arguments)?,
            "SS" | "Ss" => self.heading(2, &arguments)?,
            "PP" | "P" | "LP" | "Pp" | "sp" | "RS" | "RE" | "Bl" | "El" | "HP" => self.end_paragraph()?,
            "IP" => {
                self.end_paragraph()?;
                self.words(&arguments.first().cloned().unwrap_or_default())?;
            }
            "TP" | "TQ" => {
                self.end_paragraph()?;
                self.wants_term = true;
            }
            "It" => {
                self.end_paragraph()?;
                self.words(&mdoc_words(&arguments).join(" "))?;
                self.paragraph.push('\n');
            }
            "nf" | "EX" | "Bd" => {
                self.end_paragraph()?;
                self.is_literal = true;
            }
            "fi" | "EE" | "Ed" => {
                self.end_paragraph()?;
                self.is_literal = false;
            }
            "br" => self.paragraph.push('\n'),
            "B" | "I" | "SM" | "SB" => self.words(&arguments.join(" "))?,
            // Fonts alternate, and nothing stands between the parts.
            "BR" | "RB" | "IR" | "RI" | "BI" | "IB" => self.words(&arguments.concat())?,
            "UR" | "MT" | "URL" => self.words(&arguments.concat())?,
            "Nm" => self.program_name(&arguments)?,
            "Nd" => self.words(&format!("— {}", arguments.join(" ")))?,
            "so" => self.words(&format!("See {}.", arguments.join(" ")))?,
            // Macros of mdoc have names of two letters, the first a capital; the rest is for the typesetter.
            _ if is_mdoc(name) && name != "Dd" && name != "Os" => {
                let all: Vec<String> = std::iter::once(name.to_owned()).chain(arguments).collect();
                self.words(&mdoc_words(&all).join(" "))?;
            }
            _ => {}
        }
        Ok(())
    }

    fn heading(&mut self, level: usize, arguments: &[String]) -> Result<(), String> {
        self.end_paragraph()?;
        self.is_literal = false;
        match arguments.is_empty() {
            true => self.wants_heading = Some(level),
            false => self.text.heading(level, &arguments.join(" "))?,
        }
        Ok(())
    }

    fn program_name(&mut self, arguments: &[String]) -> Result<(), String> {
        if self.program.is_empty() {
            self.program = arguments.first().cloned().unwrap_or_default();
        }
        let words = if arguments.is_empty() { self.program.clone() } else { arguments.join(" ") };
        self.words(&words)
    }

    fn words(&mut self, words: &str) -> Result<(), String> {
        if words.trim().is_empty() {
            return Ok(());
        }
        if let Some(level) = self.wants_heading.take() {
            return self.text.heading(level, words);
        }
        if !self.paragraph.is_empty() && !self.paragraph.ends_with('\n') {
            self.paragraph.push(if self.is_literal { '\n' } else { ' ' });
        }
        self.paragraph.push_str(words.trim_end());
        if std::mem::take(&mut self.wants_term) {
            self.paragraph.push('\n');
        }
        Ok(())
    }

    fn end_paragraph(&mut self) -> Result<(), String> {
        self.text.block(&std::mem::take(&mut self.paragraph))
    }
}

fn is_mdoc(name: &str) -> bool {
    name.len() == 2
        && name.starts_with(|first: char| first.is_ascii_uppercase())
        && name.ends_with(char::is_lowercase)
}

/// A line of mdoc as text: flags with their dashes, optional parts in brackets.
fn mdoc_words(words: &[String]) -> Vec<String> {
    let mut shown = Vec::new();
    let mut is_flag = false;
    let mut brackets = 0;
    for word in words {
        match word.as_str() {
            "Fl" => is_flag = true,
            "Op" => brackets += 1,
            "Oo" => shown.push("[".to_owned()),
            "Oc" => shown.push("]".to_owned()),
            name if is_mdoc(name) => is_flag = false,
            word => {
                let dash = if std::mem::take(&mut is_flag) { "-" } else { "" };
                shown.push(format!("{dash}{word}"));
            }
        }
    }
    if brackets > 0 && !shown.is_empty() {
        shown.insert(0, "[".repeat(brackets));
        shown.push("]".repeat(brackets));
    }
    shown
}

/// The arguments of a macro; in quotation marks they may hold spaces.
fn arguments(line: &str) -> Vec<String> {
    let mut arguments = Vec::new();
    let mut rest = line.split("\\\"").next().unwrap_or_default().trim_start();
    while !rest.is_empty() {
        let (argument, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => {
                // An escaped space is part of the word.
                let spaces = rest.match_indices(char::is_whitespace);
                let end =
                    spaces.map(|(at, _)| at).find(|&at| !rest[..at].ends_with('\\')).unwrap_or(rest.len());
                rest.split_at(end)
            }
        };
        arguments.push(without_escapes(argument));
        rest = after.trim_start();
    }
    arguments
}

/// Text without fonts, sizes and comments, with the characters that escapes stand for.
fn without_escapes(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        plain.push_str(&rest[..at]);
        let mut after = rest[at + 1..].chars();
        match after.next() {
            None | Some('"' | '#') => return plain,
            Some('-') => plain.push('-'),
            Some('e' | '\\') => plain.push('\\'),
            Some(' ' | '~' | '0') => plain.push(' '),
            Some('f' | 'F' | 'm' | 'M') => drop(name_after(&mut after)),
            Some('s') => skip_size(&mut after),
            Some('*') => plain.push_str(named_string(name_after(&mut after))),
            Some('(') => plain.push_str(named_character(take(&mut after, 2))),
            Some('[') => plain.push_str(named_character(bracketed(&mut after))),
            Some('&' | '/' | ',' | '|' | '^' | '%' | ':' | 'c' | '{' | '}' | 'd' | 'u' | 'p' | 'z') => {}
            Some('h' | 'v' | 'w' | 'l' | 'L' | 'D' | 'o' | 'x') => skip_quoted(&mut after),
            Some('n') => drop(name_after(&mut after)),
            Some(other) => plain.push(other),
        }
        rest = after.as_str();
    }
    plain.push_str(rest);
    plain
}

/// What an escape names: `x`, `(xx` or `[xxx]`.
fn name_after<'t>(rest: &mut std::str::Chars<'t>) -> &'t str {
    match rest.clone().next() {
        Some('(') => {
            rest.next();
            take(rest, 2)
        }
        Some('[') => {
            rest.next();
            bracketed(rest)
        }
        _ => take(rest, 1),
    }
}

fn take<'t>(rest: &mut std::str::Chars<'t>, characters: usize) -> &'t str {
    let text = rest.as_str();
    let end = text.char_indices().nth(characters).map_or(text.len(), |(at, _)| at);
    *rest = text[end..].chars();
    &text[..end]
}

fn bracketed<'t>(rest: &mut std::str::Chars<'t>) -> &'t str {
    let text = rest.as_str();
    let (name, after) = text.split_once(']').unwrap_or((text, ""));
    *rest = after.chars();
    name
}

fn skip_quoted(rest: &mut std::str::Chars) {
    if let Some(after) = rest.as_str().strip_prefix('\'') {
        *rest = after.split_once('\'').map_or("", |(_, after)| after).chars();
    }
}

fn skip_size(rest: &mut std::str::Chars) {
    let after = rest.as_str().trim_start_matches(['+', '-']);
    *rest = after.strip_prefix(|digit: char| digit.is_ascii_digit()).unwrap_or(after).chars();
}

fn named_string(name: &str) -> &'static str {
    match name {
        "lq" => "“",
        "rq" => "”",
        "R" => "®",
        "Tm" => "™",
        _ => "",
    }
}

fn named_character(name: &str) -> &'static str {
    match name {
        "aq" | "cq" => "'",
        "oq" | "ga" => "`",
        "dq" => "\"",
        "lq" => "“",
        "rq" => "”",
        "em" => "—",
        "en" => "–",
        "hy" | "mi" => "-",
        "bu" => "•",
        "co" => "©",
        "rs" => "\\",
        "ti" => "~",
        "ha" => "^",
        "at" => "@",
        "sh" => "#",
        "la" => "⟨",
        "ra" => "⟩",
        "<=" => "≤",
        ">=" => "≥",
        "->" => "→",
        "mu" => "×",
        "ss" => "ß",
        ":a" => "ä",
        ":o" => "ö",
        ":u" => "ü",
        "'e" => "é",
        "`e" => "è",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(source: &str) -> Converted {
        convert(source, Path::new("dome.1")).unwrap()
    }

    #[test]
    fn man_macros_become_headings_and_paragraphs() {
        let page = read(
            ".\\\" A comment\n.de XX\nnot text\n..\n.TH DOME 1 2026\n.SH NAME\ndome \\- closes the dome\n.SH \"EXIT STATUS\"\n\
             .TP\n.BR \\-\\-wind =\\fIlimit\\fR\nCloses above it.\n.PP\nSee\n.BR log (5).\n.SS Examples\n.nf\ndome \\-\\-wind=15\ndome\n.fi\n",
        );
        assert_eq!(
            page.text,
            "# NAME\n\ndome - closes the dome\n\n# EXIT STATUS\n\n--wind=limit\nCloses above it.\n\nSee log(5).\n\n\
             ## Examples\n\ndome --wind=15\ndome"
        );
        assert_eq!(page.title.as_deref(), Some("DOME(1)"));
    }

    #[test]
    fn mdoc_macros_are_understood() {
        let page = read(
            ".Dd May 1\n.Dt DOME 1\n.Os\n.Sh NAME\n.Nm dome\n.Nd closes the dome\n.Sh SYNOPSIS\n.Nm\n.Op Fl w Ar limit\n\
            .Sh DESCRIPTION\n.Bl -tag\n.It Fl w Ar limit\nCloses above it.\n.El\n",
        );
        assert_eq!(
            page.text,
            "# NAME\n\ndome — closes the dome\n\n# SYNOPSIS\n\ndome [ -w limit ]\n\n# DESCRIPTION\n\n-w limit\nCloses above it."
        );
    }

    #[test]
    fn escapes_at_the_end_of_a_line_are_no_trouble() {
        for text in ["\\", "\\f", "\\f[", "\\(", "\\[x", "\\*(", "\\h'", "\\s+", "\\s", "\\(é", "a\\\"b"] {
            assert!(!without_escapes(text).contains('\\'), "{text}");
        }
    }

    #[test]
    fn extensions_of_sections_are_known() {
        assert!(["1", "3p", "8", "1ssl", "n", "mdoc"].iter().all(|extension| is_section(extension)));
        assert!(!["md", "10", "0", "1.2", "log", "nroff2"].iter().any(|extension| is_section(extension)));
    }
}
