//! `cache` as it is typed.

use clap::{Args, Subcommand, ValueEnum};

use super::JsonArgs;

#[derive(Debug, Clone, Subcommand)]
pub enum CacheCommand {
    /// List the caches by model and prompt, by collection, or by file
    #[command(
        after_help = "Examples:\n  gibbon cache ls\n  gibbon cache ls --by collection\n  gibbon cache ls --by file -n 50"
    )]
    Ls(LsArgs),
    /// Read every cache file, check it, and remove what is damaged
    Verify(JsonArgs),
    /// Remove what nobody can use, and what was used longest ago beyond the budget
    #[command(
        after_help = "Goes: caches of texts that no indexed file has, of earlier formats, unfinished files; then, until the\n\
        rest is within the budget, what was used longest ago. Caches of other models stay while there is room.\n\n\
        Examples:\n  gibbon cache gc --dry-run\n  gibbon cache gc --budget 5GiB\n  gibbon cache gc --all-models"
    )]
    Gc {
        /// Remove nothing; say what would go
        #[arg(long)]
        dry_run: bool,
        /// Remove the caches of models and prompts that the configuration does not use, too
        #[arg(long)]
        all_models: bool,
        #[command(flatten)]
        json: JsonArgs,
    },
    /// Remove caches of other models and prompts, and of chunks no longer indexed, whatever the budget
    Prune {
        /// Remove every cache
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        json: JsonArgs,
    },
}

#[derive(Debug, Clone, Args)]
pub struct LsArgs {
    /// What a line is about
    #[arg(long, value_enum, default_value_t, value_name = "WHAT")]
    pub by: CacheBy,
    /// Most lines; 0 for all
    #[arg(short = 'n', long, default_value_t = 20, value_name = "N")]
    pub lines: usize,
    #[command(flatten)]
    pub json: JsonArgs,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum CacheBy {
    #[default]
    Model,
    Collection,
    File,
}
