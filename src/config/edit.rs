//! Changes to the configuration file that leave everything else in it as it is, comments included.

use std::{
    fs,
    io::{self, Write},
    path::Path,
};

use toml_edit::{DocumentMut, Item, Table, Value};

/// The text of a configuration file with this theme, or why `text` is not one.
pub fn with_theme(text: &str, theme: &str) -> Result<String, String> {
    let mut document: DocumentMut =
        text.parse().map_err(|error: toml_edit::TomlError| error.message().to_owned())?;
    let screen = document.entry("screen").or_insert_with(|| Item::Table(Table::new()));
    let screen = screen.as_table_like_mut().ok_or("`screen` is not a table")?;
    match screen.get_mut("theme").and_then(Item::as_value_mut) {
        Some(value) => {
            let decor = value.decor().clone();
            *value = Value::from(theme);
            *value.decor_mut() = decor;
        }
        None => drop(screen.insert("theme", toml_edit::value(theme))),
    }
    Ok(document.to_string())
}

/// Sets the theme in the configuration file at `path`, which is made where it is missing. The file is replaced as a
/// whole, and keeps its permissions; a new one is its owner's alone.
pub fn save_theme(path: &Path, theme: &str) -> io::Result<()> {
    // The file that a link leads to is replaced, not the link.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let there = match fs::read_to_string(&path) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let text = with_theme(there.as_deref().unwrap_or_default(), theme)
        .map_err(|reason| io::Error::new(io::ErrorKind::InvalidData, reason))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(text.as_bytes())?;
    if there.is_some() {
        file.as_file().set_permissions(fs::metadata(&path)?.permissions())?;
    }
    file.as_file().sync_all()?;
    file.persist(&path).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_but_the_theme_stays() {
        let text = "# mine\n[screen] # how it looks\ncolor = true\ntheme = \"ansi\" # for now\n\n[answer]\nchunks = 4\n";
        let expected = text.replace("\"ansi\"", "\"dark\"");
        assert_eq!(with_theme(text, "dark"), Ok(expected));
    }

    #[test]
    fn what_is_missing_is_added() {
        assert_eq!(with_theme("", "light"), Ok("[screen]\ntheme = \"light\"\n".to_owned()));
        let added = with_theme("# notes\n[answer]\nchunks = 4\n", "light").unwrap();
        assert_eq!(added, "# notes\n[answer]\nchunks = 4\n\n[screen]\ntheme = \"light\"\n");
        let inline = with_theme("screen = { color = false }\n", "light").unwrap();
        let inline: toml::Table = inline.parse().unwrap();
        assert_eq!(inline["screen"]["theme"].as_str(), Some("light"));
        assert_eq!(inline["screen"]["color"].as_bool(), Some(false));
    }

    #[test]
    fn what_is_no_configuration_is_left_alone() {
        assert!(with_theme("screen = 3\n", "dark").is_err());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        fs::write(&path, "[screen\n").unwrap();
        assert!(save_theme(&path, "dark").is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "[screen\n");
    }

    #[test]
    #[cfg(unix)]
    fn a_new_file_is_private_and_an_old_one_keeps_its_permissions_and_its_link() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let folder = tempfile::tempdir().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let path = folder.path().join("new/config.toml");
        save_theme(&path, "dark").unwrap();
        assert_eq!(mode(&path), 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let link = folder.path().join("link.toml");
        symlink(&path, &link).unwrap();
        save_theme(&link, "mono").unwrap();
        assert_eq!(mode(&path), 0o640);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&path).unwrap(), "[screen]\ntheme = \"mono\"\n");
    }
}
