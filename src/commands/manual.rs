//! `completions` and `man`: made from the command line's own definition, so that they cannot disagree with it.

use std::{io, path::Path};

use clap_complete::{Generator, Shell};

use super::{Console, Error, Exit};

/// Completions for `shell`, to standard output.
pub fn completions(command: &mut clap::Command, shell: Shell, console: &mut Console) -> Result<Exit, Error> {
    command.set_bin_name("gibbon");
    command.build();
    let mut script = Vec::new();
    shell.try_generate(command, &mut script)?;
    console.output(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}

/// The manual pages of `command` and all its subcommands, one after another, or each to its file in `directory`.
pub fn man(command: clap::Command, directory: Option<&Path>, console: &mut Console) -> Result<Exit, Error> {
    match directory {
        Some(directory) => {
            let written = std::fs::create_dir_all(directory)
                .and_then(|()| clap_mangen::generate_to(command, directory));
            written.map_err(|error| {
                let path = console.path(directory);
                Error::usage(
                    format!("the manual pages cannot be written to {path}: {error}"),
                    "Name a directory that you may write to.",
                )
            })?;
        }
        None => {
            let mut command = command.disable_help_subcommand(true);
            command.build();
            let mut pages = Vec::new();
            write_pages(&command, &mut pages)?;
            console.output(&String::from_utf8_lossy(&pages))?;
        }
    }
    Ok(Exit::Done)
}

fn write_pages(command: &clap::Command, pages: &mut Vec<u8>) -> io::Result<()> {
    clap_mangen::Man::new(command.clone()).render(pages)?;
    for subcommand in command.get_subcommands().filter(|subcommand| !subcommand.is_hide_set()) {
        write_pages(subcommand, pages)?;
    }
    Ok(())
}
