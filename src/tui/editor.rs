//! How the user's editor is called, so that it opens a file at a line.

use std::{
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
};

/// A program and its arguments; there is no shell in between.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EditorCall {
    pub program: String,
    pub arguments: Vec<OsString>,
}

/// How an editor is told the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LineSyntax {
    /// `+12 file`
    Plus,
    /// `file:12`
    Colon,
    /// `--goto file:12`
    Goto,
    /// It is not known how.
    None,
}

/// The call of `editor`, which is the value of `VISUAL` or `EDITOR` and may hold arguments, for `path` at `line` (from
/// 1). `None` where `editor` is blank or its quotes do not match.
pub fn call(editor: &str, path: &Path, line: Option<u32>) -> Option<EditorCall> {
    let mut words = split(editor)?.into_iter();
    let program = words.next()?;
    let mut arguments: Vec<OsString> = words.map(OsString::from).collect();
    let path = safe(path);
    match (line_syntax(&program), line) {
        (LineSyntax::Plus, Some(line)) => {
            arguments.push(format!("+{line}").into());
            arguments.push(path.into());
        }
        (LineSyntax::Colon, Some(line)) => arguments.push(with_line(&path, line)),
        (LineSyntax::Goto, Some(line)) => {
            arguments.push("--goto".into());
            arguments.push(with_line(&path, line));
        }
        (LineSyntax::None, _) | (_, None) => arguments.push(path.into()),
    }
    Some(EditorCall { program, arguments })
}

fn with_line(path: &Path, line: u32) -> OsString {
    let mut argument = path.as_os_str().to_owned();
    argument.push(format!(":{line}"));
    argument
}

/// `path` so that no editor takes it for an option or a command.
fn safe(path: &Path) -> PathBuf {
    match path.as_os_str().as_encoded_bytes().first() {
        Some(b'-' | b'+') => Path::new(".").join(path),
        _ => path.to_owned(),
    }
}

fn line_syntax(program: &str) -> LineSyntax {
    let name = Path::new(program).file_stem().and_then(OsStr::to_str).unwrap_or_default();
    match name.to_ascii_lowercase().as_str() {
        "vi" | "vim" | "nvim" | "view" | "gvim" | "nvi" | "nano" | "rnano" | "pico" | "emacs"
        | "emacsclient" | "micro" | "kak" | "joe" | "jed" | "mg" | "ne" => LineSyntax::Plus,
        "hx" | "helix" | "subl" | "zed" | "zeditor" => LineSyntax::Colon,
        "code" | "code-insiders" | "codium" | "vscodium" | "cursor" | "windsurf" => LineSyntax::Goto,
        _ => LineSyntax::None,
    }
}

/// Words as a shell reads them: between blanks, with quotes and backslashes, and nothing else.
fn split(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (Some(open), _) if character == open => quote = None,
            (Some('\''), _) | (Some(_), ' ' | '\t') => word.get_or_insert_default().push(character),
            (_, '\\') => word.get_or_insert_default().push(characters.next()?),
            (Some(_), _) => word.get_or_insert_default().push(character),
            (None, '\'' | '"') => {
                word.get_or_insert_default();
                quote = Some(character);
            }
            (None, _) if character.is_whitespace() => words.extend(word.take()),
            (None, _) => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn called(editor: &str, path: &str, line: Option<u32>) -> Vec<String> {
        let call = call(editor, Path::new(path), line).expect(editor);
        let arguments = call.arguments.iter().map(|argument| argument.to_string_lossy().into_owned());
        std::iter::once(call.program).chain(arguments).collect()
    }

    #[test]
    fn editors_are_told_the_line_in_their_own_way() {
        let path = "/docs/dome.md";
        for editor in ["vi", "vim", "nvim", "nano", "emacs", "micro", "kak", "/usr/bin/nvim"] {
            assert_eq!(called(editor, path, Some(14)), [editor, "+14", path]);
        }
        for editor in ["hx", "subl", "zed"] {
            assert_eq!(called(editor, path, Some(14)), [editor, "/docs/dome.md:14"]);
        }
        assert_eq!(called("code", path, Some(14)), ["code", "--goto", "/docs/dome.md:14"]);
        assert_eq!(called("my-editor", path, Some(14)), ["my-editor", path]);
        assert_eq!(called("vi", path, None), ["vi", path]);
    }

    #[test]
    fn arguments_of_the_editor_come_first() {
        assert_eq!(called("code -w", "/a", Some(1)), ["code", "-w", "--goto", "/a:1"]);
        assert_eq!(
            called("'/opt/my editor/vim'  -u \"a b\"", "/a", Some(1)),
            ["/opt/my editor/vim", "-u", "a b", "+1", "/a"]
        );
        assert_eq!(called("a\\ b '' \"x\\\"y\" 'x\\y'", "/a", None), ["a b", "", "x\"y", "x\\y", "/a"]);
    }

    #[test]
    fn what_is_no_command_is_not_called() {
        for editor in ["", "  ", "vi 'a", "vi \"", "vi \\"] {
            assert_eq!(call(editor, Path::new("/a"), None), None, "{editor}");
        }
    }

    #[test]
    fn nothing_in_a_path_is_taken_for_anything_else() {
        assert_eq!(called("vi", "-c !sh", Some(2)), ["vi", "+2", "./-c !sh"]);
        assert_eq!(called("vi", "+q", None), ["vi", "./+q"]);
        assert_eq!(called("vi", "/a b; rm $(x)\n", Some(2)), ["vi", "+2", "/a b; rm $(x)\n"]);
    }
}
