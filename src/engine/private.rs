//! What Gibbon keeps is for its owner alone: directories 0700, files 0600.
//!
//! What a run creates is that from the start, since `main` sets the mask for new files. This is for what is there already:
//! made by an earlier version, copied from elsewhere, or opened up by somebody.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use crate::config::Paths;

/// The rights of everybody but the owner.
const OTHERS: u32 = 0o077;

/// Takes the rights of others away from everything below the data and state directories, and from these. Links are not
/// followed. The many files of the cache are looked at one by one only where their directory was open: those of a closed
/// one cannot be reached.
///
/// What cannot be changed is a line in the log.
pub fn keep_private(paths: &Paths) {
    for directory in [&paths.data, &paths.state] {
        if let Err(error) = close(directory)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(path = %directory.display(), %error, "it is not for its owner alone");
        }
    }
    let cache = paths.data.join("kv");
    let mut open = Vec::from([paths.data.clone(), paths.state.clone()]);
    while let Some(directory) = open.pop() {
        for path in entries(&directory) {
            match close(&path) {
                Ok(Closed { is_directory: true, was_open }) if was_open || path != cache => open.push(path),
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "it is not for its owner alone");
                }
            }
        }
    }
}

struct Closed {
    is_directory: bool,
    was_open: bool,
}

/// Takes the rights of others away from a file or directory.
fn close(path: &Path) -> io::Result<Closed> {
    let metadata = fs::symlink_metadata(path)?;
    let kind = metadata.file_type();
    let mode = metadata.permissions().mode() & 0o7777;
    let was_open = !kind.is_symlink() && mode & OTHERS != 0;
    if was_open {
        fs::set_permissions(path, fs::Permissions::from_mode(mode & !OTHERS))?;
    }
    Ok(Closed { is_directory: kind.is_dir(), was_open })
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn what_was_open_is_closed_and_links_are_not_followed() {
        let (home, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (data, state) = (home.path().join("data"), home.path().join("state"));
        for folder in ["data/index", "data/kv/v2/aa", "state"] {
            fs::create_dir_all(home.path().join(folder)).unwrap();
        }
        let secret = outside.path().join("shared.txt");
        fs::write(&secret, "x").unwrap();
        std::os::unix::fs::symlink(&secret, data.join("link")).unwrap();
        let files =
            ["data/catalogue.sqlite3", "data/index/a.store", "data/kv/v2/aa/x.safetensors", "state/a.log"];
        for file in files {
            fs::write(home.path().join(file), "x").unwrap();
            set(&home.path().join(file), 0o664);
        }
        for folder in [&data, &state, &data.join("kv"), &data.join("index"), &data.join("kv/v2")] {
            set(folder, 0o755);
        }
        set(&secret, 0o644);
        let paths = Paths { config_file: home.path().join("c"), data: data.clone(), state: state.clone() };

        keep_private(&paths);

        for file in files {
            assert_eq!(mode(&home.path().join(file)), 0o600, "{file}");
        }
        for folder in [&data, &state, &data.join("kv"), &data.join("index"), &data.join("kv/v2/aa")] {
            assert_eq!(mode(folder), 0o700, "{}", folder.display());
        }
        assert_eq!(mode(&secret), 0o644);

        keep_private(&Paths { data: home.path().join("none"), ..paths });
        assert!(!home.path().join("none").exists());
    }
}
