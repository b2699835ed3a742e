//! `collection`, and `--in`, as they are typed.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::JsonArgs;
use crate::config::ALL_COLLECTIONS;

#[derive(Debug, Clone, Subcommand)]
pub enum CollectionCommand {
    /// List the collections, with what is indexed of them
    Ls(JsonArgs),
    /// Print what the configuration says of a collection, and what is indexed of it
    Show {
        name: String,
        #[command(flatten)]
        json: JsonArgs,
    },
    /// Add a collection to the configuration file; `gibbon index` then indexes it
    #[command(
        after_help = "Patterns are those of a .gitignore, from each path. What else a collection can have of its own\n\
        stands in the configuration file: `gibbon config template` prints the keys.\n\n\
        Examples:\n  gibbon collection add notes ~/notes --include '**/*.md' --exclude drafts/\n  \
        gibbon collection add law ~/cases ~/statutes --system-prompt \"You answer as a careful lawyer's clerk.\""
    )]
    Add {
        /// Letters, digits, `-` and `_`
        name: String,
        /// Folders and files
        #[arg(value_name = "PATH", required = true)]
        paths: Vec<PathBuf>,
        /// Only files that this names; may be repeated
        #[arg(long, value_name = "PATTERN")]
        include: Vec<String>,
        /// No files that this names; may be repeated
        #[arg(long, value_name = "PATTERN")]
        exclude: Vec<String>,
        /// A system prompt of its own
        #[arg(long, value_name = "TEXT")]
        system_prompt: Option<String>,
    },
    /// Take a collection out of the configuration file; what is indexed of it stays
    Remove { name: String },
}

/// Which collections a question is about.
#[derive(Debug, Clone, Default, Args)]
pub struct ScopeArgs {
    /// Only the files of these collections, separated by commas; `default` for those of none
    #[arg(long = "in", value_delimiter = ',', value_name = "NAMES")]
    pub collections: Vec<String>,
}

impl ScopeArgs {
    /// The names, each once; none for all.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for name in self.collections.iter().map(|name| name.trim()).filter(|name| !name.is_empty()) {
            if name == ALL_COLLECTIONS {
                return Vec::new();
            }
            if !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
        names
    }
}
