//! What can be asked of indexing: a run, an order to one that is under way, a service that keeps one running.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::JsonArgs;
use crate::{commands::service::ServiceKind, engine::IndexerOrder};

#[derive(Debug, Clone, Args)]
pub struct IndexArgs {
    /// Files and folders to add
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Bring only the folders of these collections up to date, separated by commas
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub collection: Vec<String>,
    /// Index only; KV caches are encoded when first needed
    #[arg(long)]
    pub no_encode: bool,
    /// Files and folders to take out of the index, with their caches
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub forget: Vec<PathBuf>,
    /// Go on until Ctrl-C: watch everything that was added, and index what changes
    #[arg(long)]
    pub watch: bool,
    /// Do it in a process of its own, which lets others go first, and return at once
    #[arg(long)]
    pub background: bool,
    /// Pause the process that indexes
    #[arg(long, group = "order", conflicts_with_all = ["paths", "collection", "forget", "watch", "background", "no_encode", "json"])]
    pub pause: bool,
    /// Let a paused one go on
    #[arg(long, group = "order", conflicts_with_all = ["paths", "collection", "forget", "watch", "background", "no_encode", "json"])]
    pub resume: bool,
    /// End it; what was done stays done
    #[arg(long, group = "order", conflicts_with_all = ["paths", "collection", "forget", "watch", "background", "no_encode", "json"])]
    pub stop: bool,
    /// This is the process that `--background` started
    #[arg(long, hide = true)]
    pub detached: bool,
    #[command(flatten)]
    pub json: JsonArgs,
}

impl IndexArgs {
    /// What is asked of a process that indexes already.
    pub fn order(&self) -> Option<IndexerOrder> {
        match (self.pause, self.resume, self.stop) {
            (true, ..) => Some(IndexerOrder::Pause),
            (_, true, _) => Some(IndexerOrder::Resume),
            (_, _, true) => Some(IndexerOrder::Stop),
            _ => None,
        }
    }
}

#[derive(Debug, Clone, Subcommand)]
pub enum ServiceCommand {
    /// Print the file that makes systemd or launchd run `gibbon index --watch` when you log in
    #[command(
        after_help = "Examples:\n  gibbon service install --print > ~/.config/systemd/user/gibbon.service\n  \
        systemctl --user enable --now gibbon"
    )]
    Install {
        /// Print it to standard output
        #[arg(long)]
        print: bool,
        /// For which system; by default this one's
        #[arg(long)]
        kind: Option<ServiceKind>,
    },
}
