//! The roles of code's words: what is a keyword, a string, a comment.
//!
//! Syntaxes take longer to load, and code takes longer to be read, than a frame may take. So the screen asks for the
//! roles of the code that it shows ([`Effect::Highlight`](super::app::Effect::Highlight)), shows it in one role
//! meanwhile, and is told what they are. The roles are the theme's: they work with sixteen colours and with none.

use syntect::parsing::{ParseState, Scope, ScopeStack, SyntaxSet};

use super::{markdown::Highlights, theme::Role};

/// A line that is longer, in bytes, is shown in one role.
const LONGEST_LINE: usize = 1000;

/// What a scope's name begins with, and its role; the first that holds counts.
const ROLES: [(&str, Role); 25] = [
    ("comment", Role::Comment),
    ("string", Role::Quoted),
    ("constant.character", Role::Quoted),
    ("constant", Role::Number),
    ("keyword.operator.word", Role::Keyword),
    ("keyword.operator", Role::Code),
    ("keyword", Role::Keyword),
    ("storage", Role::Keyword),
    ("entity.name.function", Role::Function),
    ("variable.function", Role::Function),
    ("support.function", Role::Function),
    ("support.macro", Role::Function),
    ("entity.name.type", Role::Type),
    ("entity.name.class", Role::Type),
    ("entity.name.struct", Role::Type),
    ("entity.name.enum", Role::Type),
    ("entity.name.trait", Role::Type),
    ("entity.name.tag", Role::Keyword),
    ("entity.other.attribute-name", Role::Function),
    ("entity.other.inherited-class", Role::Type),
    ("support.type", Role::Type),
    ("support.class", Role::Type),
    ("markup.inserted", Role::Quoted),
    ("markup.deleted", Role::Keyword),
    ("markup.heading", Role::Heading),
];

/// Code whose roles are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code {
    /// The entry of the conversation it is in, and where in the answer's text its section begins.
    pub place: (usize, usize),
    /// As the answer calls it.
    pub language: String,
    /// Whole lines.
    pub text: String,
}

/// The roles of code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Highlighted {
    /// As in [`Code`].
    pub place: (usize, usize),
    /// One for each line; empty where a line's roles are not known.
    pub lines: Highlights,
}

/// Knows the syntaxes of many languages.
#[derive(Debug)]
pub struct Highlighter {
    syntaxes: SyntaxSet,
    roles: Vec<(Scope, Role)>,
    /// The code that was read last. Code that is being written is asked for again and again, each time longer.
    last: Option<Reader>,
}

/// Code as far as it has been read.
#[derive(Debug)]
struct Reader {
    code: Code,
    parser: ParseState,
    scopes: ScopeStack,
    lines: Highlights,
}

impl Highlighter {
    /// Loads the syntaxes.
    pub fn load() -> Self {
        let scope = |(name, role): (&str, Role)| Some((Scope::new(name).ok()?, role));
        Self {
            syntaxes: two_face::syntax::extra_newlines(),
            roles: ROLES.into_iter().filter_map(scope).collect(),
            last: None,
        }
    }

    /// The roles of a block of code.
    pub fn highlight(&mut self, code: Code) -> Highlighted {
        let Some(syntax) = self.syntaxes.find_syntax_by_token(&code.language) else {
            return Highlighted { place: code.place, lines: vec![Vec::new(); code.text.lines().count()] };
        };
        let goes_on = |last: &Reader| {
            let old = &last.code;
            old.place == code.place && old.language == code.language && code.text.starts_with(&old.text)
        };
        let mut reader = self.last.take().filter(goes_on).unwrap_or_else(|| Reader {
            code: Code { text: String::new(), ..code.clone() },
            parser: ParseState::new(syntax),
            scopes: ScopeStack::new(),
            lines: Vec::new(),
        });
        for line in code.text[reader.code.text.len()..].split_inclusive('\n') {
            let roles = self.line(&mut reader, line).unwrap_or_default();
            reader.lines.push(roles);
        }
        reader.code = code;
        let highlighted = Highlighted { place: reader.code.place, lines: reader.lines.clone() };
        self.last = Some(reader);
        highlighted
    }

    /// The roles of the next line; `None` where its syntax cannot say.
    fn line(&self, reader: &mut Reader, line: &str) -> Option<Vec<(usize, Role)>> {
        if line.len() > LONGEST_LINE {
            return None;
        }
        let operations = reader.parser.parse_line(line, &self.syntaxes).ok()?;
        let mut roles: Vec<(usize, Role)> = Vec::new();
        let end = line.trim_end_matches('\n').len();
        let mut at = 0;
        for (next, operation) in &operations {
            let next = (*next).min(end);
            push(&mut roles, next - at, self.role(&reader.scopes));
            at = next;
            reader.scopes.apply(operation).ok()?;
        }
        push(&mut roles, end - at, self.role(&reader.scopes));
        Some(roles)
    }

    fn role(&self, scopes: &ScopeStack) -> Role {
        let role = |scope: &Scope| self.roles.iter().find(|(prefix, _)| prefix.is_prefix_of(*scope));
        scopes.as_slice().iter().rev().find_map(role).map_or(Role::Code, |(_, role)| *role)
    }
}

fn push(roles: &mut Vec<(usize, Role)>, bytes: usize, role: Role) {
    match roles.last_mut() {
        _ if bytes == 0 => {}
        Some((before, last)) if *last == role => *before += bytes,
        _ => roles.push((bytes, role)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(language: &str, text: &str) -> Code {
        Code { place: (0, 0), language: language.to_owned(), text: text.to_owned() }
    }

    /// The words of each line with their roles.
    fn words<'a>(text: &'a str, lines: &Highlights) -> Vec<(&'a str, Role)> {
        let mut words = Vec::new();
        for (line, roles) in text.lines().zip(lines) {
            let mut at = 0;
            for (bytes, role) in roles {
                words.push((line[at..at + bytes].trim(), *role));
                at += bytes;
            }
            assert!(roles.is_empty() || at == line.len(), "{line}");
        }
        words.retain(|(word, _)| !word.is_empty());
        words
    }

    #[test]
    fn words_have_roles() {
        let mut highlighter = Highlighter::load();
        let text = "struct Wind;\nfn close(wind: f32) -> bool {\n    // shut it\n    wind > 18.0 && ask(\"now\")\n}\n";
        let lines = highlighter.highlight(code("rust", text)).lines;
        let words = words(text, &lines);
        for expected in [
            ("fn", Role::Keyword),
            ("close", Role::Function),
            ("Wind", Role::Type),
            ("// shut it", Role::Comment),
            ("18.0", Role::Number),
            ("\"now\"", Role::Quoted),
        ] {
            assert!(words.contains(&expected), "{expected:?} in {words:?}");
        }
        let python = highlighter.highlight(code("py", "def f():\n    return 'x' # y\n")).lines;
        assert!(python[1].iter().any(|(_, role)| *role == Role::Keyword), "{python:?}");
    }

    #[test]
    fn code_that_grows_is_read_on_as_if_it_had_come_at_once() {
        let text = "a = \"\"\"\nnot code\n\"\"\"\nb = 1\n";
        let (mut grown, mut fresh) = (Highlighter::load(), Highlighter::load());
        for end in text.match_indices('\n').map(|(end, _)| end + 1) {
            fresh.last = None;
            let code = code("python", &text[..end]);
            assert_eq!(grown.highlight(code.clone()), fresh.highlight(code));
        }
    }

    #[test]
    fn what_has_no_syntax_has_no_roles() {
        let mut highlighter = Highlighter::load();
        assert_eq!(highlighter.highlight(code("no-such-language", "a\nb\n")).lines, [vec![], vec![]]);
        let long = format!("let a = \"{}\";\nlet b = 1;\n", "x".repeat(LONGEST_LINE));
        let lines = highlighter.highlight(code("rust", &long)).lines;
        assert!(lines[0].is_empty() && !lines[1].is_empty());
    }
}
