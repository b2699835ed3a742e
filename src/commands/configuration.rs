//! `config`: where the configuration is and what it says.

use super::{Console, Error, Exit};
use crate::{config::Config, engine::visible};

/// Where configuration, data and logs are, one a line.
pub fn path(config: &Config, console: &mut Console) -> Result<Exit, Error> {
    let paths = &config.paths;
    let mut text = String::new();
    for (name, path) in [("config", &paths.config_file), ("data", &paths.data), ("logs", &paths.state)] {
        text += &format!("{name:<7} {}\n", visible(&path.to_string_lossy()));
    }
    console.output(&text)?;
    Ok(Exit::Done)
}

/// The configuration in force, as a configuration file.
pub fn show(config: &Config, console: &mut Console) -> Result<Exit, Error> {
    console.output(&visible(&config.to_toml()))?;
    Ok(Exit::Done)
}

/// A configuration file with the defaults.
pub fn template(config: &Config, console: &mut Console) -> Result<Exit, Error> {
    console.output(&Config::with_paths(config.paths.clone()).to_toml())?;
    Ok(Exit::Done)
}
