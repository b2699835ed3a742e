//! Files that the screen writes: exports, under a name that nothing has yet.

use std::{
    fs::OpenOptions,
    io::{self, Write},
    path::{Path, PathBuf},
};

/// Names tried before giving up.
const MOST_NAMES: usize = 1000;

/// Writes `text` into `directory` as `stem.extension`, or `stem-2.extension` and so on: never over a file that is
/// there. Returns the file's path, or why there is none.
pub fn save(directory: &Path, stem: &str, extension: &str, text: &str) -> Result<PathBuf, String> {
    let failed = |path: &Path, error: io::Error| format!("{} could not be written: {error}", path.display());
    for number in 1..=MOST_NAMES {
        let suffix = if number == 1 { String::new() } else { format!("-{number}") };
        let path = directory.join(format!("{stem}{suffix}.{extension}"));
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(mut file) => {
                return file.write_all(text.as_bytes()).map_err(|error| failed(&path, error)).map(|()| path);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed(&path, error)),
        }
    }
    Err(format!("there are {MOST_NAMES} files called {stem}-….{extension} already"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_overwritten() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let save = |text| save(directory.path(), "chat", "md", text).expect("it can be written");
        let names: Vec<_> = [save("one"), save("two"), save("three")]
            .iter()
            .map(|path| path.file_name().expect("a name").to_string_lossy().into_owned())
            .collect();
        assert_eq!(names, ["chat.md", "chat-2.md", "chat-3.md"]);
        let text = std::fs::read_to_string(directory.path().join("chat.md")).expect("it is there");
        assert_eq!(text, "one");
    }

    #[test]
    fn a_directory_that_is_not_there_is_said() {
        let missing = tempfile::tempdir().expect("a temporary directory").path().join("gone");
        let reason = save(&missing, "chat", "md", "").expect_err("there is no such directory");
        assert!(reason.contains("chat.md could not be written"), "{reason}");
    }
}
