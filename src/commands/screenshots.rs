//! `screenshots`: the pictures of the screen that the documentation shows, as files; or whether those files are stale.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{Console, Error, Exit};

/// Gives a file's content.
type Draw<'a> = Box<dyn Fn() -> io::Result<Vec<u8>> + 'a>;
/// Says whether a file's content is what it should be.
type IsCurrent<'a> = Box<dyn Fn(&[u8]) -> bool + 'a>;

/// A file with a picture. Who draws it decides how it looks; this command only keeps the files.
pub struct PictureFile<'a> {
    pub name: String,
    /// The file's content.
    pub draw: Draw<'a>,
    /// Whether this content shows the picture as it is now.
    pub is_current: IsCurrent<'a>,
}

/// Writes those of `pictures` into `directory` that are not there as they are now.
pub fn write(pictures: &[PictureFile], directory: &Path, console: &mut Console) -> Result<Exit, Error> {
    let stale = stale(pictures, directory);
    let failed = |path: &Path, error: io::Error, console: &Console| {
        Error::usage(
            format!("{} cannot be written: {error}", console.path(path)),
            "Name a directory that you may write to.",
        )
    };
    fs::create_dir_all(directory).map_err(|error| failed(directory, error, console))?;
    for (picture, path) in &stale {
        let written = (picture.draw)().and_then(|content| fs::write(path, content));
        written.map_err(|error| failed(path, error, console))?;
        console.output(&format!("{}\n", console.path(path)))?;
    }
    let current = pictures.len() - stale.len();
    console.note(&format!("{} written, {current} were as they are now", stale.len()));
    Ok(Exit::Done)
}

/// Names those of `pictures` that are not in `directory` as they are now, a line for each; fails where there are any.
pub fn check(pictures: &[PictureFile], directory: &Path, console: &mut Console) -> Result<Exit, Error> {
    let stale = stale(pictures, directory);
    for (_, path) in &stale {
        console.output(&format!("{}\n", console.path(path)))?;
    }
    if stale.is_empty() {
        console.note(&format!("{} pictures are as they are now", pictures.len()));
        return Ok(Exit::Done);
    }
    console.note("These are missing or stale; `gibbon screenshots` writes them.");
    Ok(Exit::Failed)
}

fn stale<'a>(pictures: &'a [PictureFile<'a>], directory: &Path) -> Vec<(&'a PictureFile<'a>, PathBuf)> {
    let with_path = pictures.iter().map(|picture| (picture, directory.join(&picture.name)));
    let is_stale = |(picture, path): &(&PictureFile, PathBuf)| {
        !fs::read(path).is_ok_and(|content| (picture.is_current)(&content))
    };
    with_path.filter(is_stale).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::Verbosity;

    fn picture(name: &str, content: &'static str) -> PictureFile<'static> {
        PictureFile {
            name: name.to_owned(),
            draw: Box::new(|| Ok(content.as_bytes().to_owned())),
            is_current: Box::new(|there| there == content.as_bytes()),
        }
    }

    #[test]
    fn what_is_missing_or_stale_is_named_and_written() {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join("pictures");
        let pictures = [picture("a.svg", "a"), picture("b.svg", "b")];
        let run = |act: fn(&[PictureFile], &Path, &mut Console) -> Result<Exit, Error>| {
            let (mut console, output, _) = Console::captured(Verbosity::Quiet);
            let exit = act(&pictures, &directory, &mut console).unwrap();
            (
                exit,
                output
                    .text()
                    .lines()
                    .filter_map(|line| line.rsplit('/').next())
                    .collect::<Vec<_>>()
                    .join(" "),
            )
        };
        assert_eq!(run(check), (Exit::Failed, "a.svg b.svg".to_owned()));
        assert_eq!(run(write), (Exit::Done, "a.svg b.svg".to_owned()));
        assert_eq!(run(check), (Exit::Done, String::new()));
        fs::write(directory.join("b.svg"), "old").unwrap();
        assert_eq!(run(check), (Exit::Failed, "b.svg".to_owned()));
        assert_eq!(run(write), (Exit::Done, "b.svg".to_owned()));
        assert_eq!(fs::read(directory.join("b.svg")).unwrap(), b"b");
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_an_error_with_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let (mut console, _, _) = Console::captured(Verbosity::Quiet);
        let error = write(&[picture("a.svg", "a")], &file, &mut console).unwrap_err();
        assert!(error.to_string().contains("file"), "{error}");
    }
}
