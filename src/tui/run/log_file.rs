//! The end of the newest log file.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use super::super::log::LogTail;
use crate::engine::visible;

/// Most bytes that are read.
const MOST: u64 = 256 * 1024;

/// The last lines of the newest log file in `directory`, whole lines only, with nothing in them that a terminal acts
/// on; or, for the user, why there are none.
pub fn tail(directory: &Path) -> Result<LogTail, String> {
    let explain = |path: &Path, error: io::Error| format!("{} could not be read: {error}", path.display());
    let path = newest(directory).map_err(|error| explain(directory, error))?;
    let Some(path) = path else {
        return Ok(LogTail { path: directory.to_owned(), lines: Vec::new() });
    };
    let text = end_of(&path).map_err(|error| explain(&path, error))?;
    let lines = visible(&text).lines().map(str::to_owned).collect();
    Ok(LogTail { path, lines })
}

/// Log files are called by their day, so that the last name is the newest.
fn newest(directory: &Path) -> io::Result<Option<PathBuf>> {
    let mut newest = None;
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let is_log = path.extension().is_some_and(|extension| extension == "log");
        newest = newest.max(is_log.then_some(path));
    }
    Ok(newest)
}

fn end_of(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let start = file.metadata()?.len().saturating_sub(MOST);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(MOST).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    Ok(match text.split_once('\n') {
        Some((_, whole)) if start > 0 => whole.to_owned(),
        _ => text.into_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_files_last_whole_lines_are_read() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(tail(directory.path()).unwrap().lines, Vec::<String>::new());
        let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
        write("gibbon.2031-05-11.log", "old\n");
        write("gibbon.2031-05-12.log", &format!("{}\nWARN a\u{1b}[31mb\nlast\n", "x".repeat(MOST as usize)));
        write("notes.txt", "no log\n");
        let read = tail(directory.path()).unwrap();
        assert!(read.path.ends_with("gibbon.2031-05-12.log"));
        assert_eq!(read.lines, ["WARN a␛[31mb", "last"]);
    }

    #[test]
    fn a_missing_directory_is_told() {
        let error = tail(Path::new("no/such/directory")).unwrap_err();
        assert!(error.contains("no/such/directory"), "{error}");
    }
}
