//! What was typed: the command line as clap's types. What it means is decided in [`crate::config`].

#[cfg(feature = "cuda")]
pub mod bench;
pub mod cache;
pub mod collection;
mod indexing;

use std::{ffi::OsString, path::PathBuf};

use bytesize::ByteSize;
use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

pub use cache::{CacheBy, CacheCommand, LsArgs};
pub use collection::{CollectionCommand, ScopeArgs};
pub use indexing::{IndexArgs, ServiceCommand};

use crate::{
    commands::Exit,
    config::{CacheDtype, DeviceChoice, Overrides, Strategy},
};

/// Chat with your own files: the model reads every document once and keeps its KV cache on disk.
#[derive(Debug, Clone, Parser)]
#[command(name = "gibbon", version, propagate_version = true, after_help = after_help())]
#[command(subcommand_help_heading = "Commands")]
pub struct Cli {
    #[command(flatten)]
    pub global: GlobalArgs,
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Flags that every command takes.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Global options")]
pub struct GlobalArgs {
    /// A path, or a name on the Hub
    #[arg(
        long,
        global = true,
        value_name = "MODEL",
        help = "The model: a GGUF file, a directory with safetensors, \
                or owner/name[@revision][:file] on the Hugging Face Hub"
    )]
    pub model: Option<OsString>,
    /// The configuration file
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Never use the network
    #[arg(long, global = true)]
    pub offline: bool,
    /// Number format of the stored KV cache
    #[arg(long, global = true, value_name = "DTYPE")]
    pub cache_dtype: Option<CacheDtype>,
    /// Turn quantised weights into f32 when loading: exact, but larger and slower
    #[arg(long, global = true)]
    pub dequantize: bool,
    /// Where the model runs: auto, cpu, cuda, or cuda:1 for the second GPU
    #[arg(long, global = true, value_name = "DEVICE")]
    pub device: Option<DeviceChoice>,
    /// Most disk space for the KV cache, such as 20GiB
    #[arg(long, global = true, value_name = "SIZE")]
    pub budget: Option<ByteSize>,
    /// Print the result and errors, nothing else
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// Print more, and write more into the log file
    #[arg(long, short, global = true, conflicts_with = "quiet")]
    pub verbose: bool,
    /// No colours
    #[arg(long, global = true)]
    pub no_color: bool,
}

#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Fetch the model if need be, index the sample documents, and answer a question with and without the cache
    #[command(after_help = "Examples:\n  gibbon demo\n  gibbon demo --no-chat")]
    Demo(DemoArgs),
    /// Open the chat (the default without a command)
    #[command(after_help = "Examples:\n  gibbon\n  gibbon chat --resume\n  gibbon chat --resume 3\n  \
        gibbon chat --model ./model.gguf")]
    Chat(ChatArgs),
    /// Index files and folders, and encode their KV caches
    #[command(
        after_help = "Without a path, everything indexed before and the folders of all collections are brought up to date.\n\n\
        Examples:\n  gibbon index ~/notes report.md\n  gibbon index\n  gibbon index --collection notes\n  \
        gibbon index --forget ~/notes\n  gibbon index ~/notes --watch --background\n  gibbon index --stop"
    )]
    Index(IndexArgs),
    /// Show what is indexed and how far the indexer is, whichever process that is
    #[command(
        after_help = "Examples:\n  gibbon status\n  gibbon status --watch\n  gibbon status --json | jq .indexer"
    )]
    Status {
        /// Look again every second until Ctrl-C
        #[arg(long)]
        watch: bool,
        #[command(flatten)]
        json: JsonArgs,
    },
    /// Have the system keep an indexer running
    #[command(subcommand)]
    Service(ServiceCommand),
    /// Answer a question from the indexed documents
    #[command(
        after_help = "The answer goes to standard output; its sources and timings go to standard error.\n\
        What is piped in is added to the question; in a shell loop, add </dev/null.\n\n\
        Examples:\n  gibbon ask \"When does the dome close?\"\n  gibbon ask --in notes,work \"When does the dome close?\"\n  gibbon ask --strategy full -k 8 \"When does the dome close?\"\n  \
        git diff | gibbon ask \"Which runbook covers this change?\"\n  gibbon ask --json \"Who is on call?\" | jq -r .answer"
    )]
    Ask(AskArgs),
    /// Show the chunks that a question finds
    #[command(
        after_help = "Examples:\n  gibbon search \"wind limit\"\n  gibbon search --json -k 20 wind limit"
    )]
    Search(SearchArgs),
    /// Answer a question by several strategies and compare their times and answers
    #[command(after_help = "Examples:\n  gibbon compare \"When does the dome close?\"\n  \
        gibbon compare --strategies ape,full --runs 5 -k 8 \"When does the dome close?\"")]
    Compare(CompareArgs),
    /// Measure what this machine reaches
    #[cfg(feature = "cuda")]
    #[command(subcommand)]
    Bench(bench::BenchCommand),
    /// Look after the collections: named sets of folders
    #[command(subcommand)]
    Collection(CollectionCommand),
    /// Look after the KV cache on disk
    #[command(subcommand)]
    Cache(CacheCommand),
    /// Look after the models on this machine
    #[command(subcommand)]
    Model(ModelCommand),
    /// Look at the chats that were kept
    #[command(subcommand)]
    Sessions(SessionsCommand),
    /// Check that everything Gibbon needs is there
    Doctor(JsonArgs),
    /// Show the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Write pictures of the screen, as they are in the documentation
    #[command(after_help = "Examples:\n  gibbon screenshots\n  gibbon screenshots --check")]
    Screenshots {
        /// Where the pictures are
        #[arg(value_name = "DIR", default_value = "screenshots")]
        directory: PathBuf,
        /// Write nothing; name the pictures that are missing or stale, and fail where there are any
        #[arg(long)]
        check: bool,
    },
    /// Print completions for a shell
    #[command(
        after_help = "Examples:\n  gibbon completions bash > ~/.local/share/bash-completion/completions/gibbon"
    )]
    Completions { shell: Shell },
    /// Print the manual pages of all commands
    #[command(
        after_help = "Examples:\n  gibbon man | man -l -\n  gibbon man --directory ~/.local/share/man/man1"
    )]
    Man {
        /// Write one file for each page into this directory instead
        #[arg(long, value_name = "DIR")]
        directory: Option<PathBuf>,
    },
}

#[derive(Debug, Clone, Args)]
pub struct JsonArgs {
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Args)]
pub struct ChatArgs {
    /// Go on in the chat that was used last, or in the one with this id, as `sessions ls` lists it
    #[arg(long, value_name = "ID")]
    pub resume: Option<Option<i64>>,
}

#[derive(Debug, Clone, Args)]
pub struct DemoArgs {
    /// Do not open the chat at the end
    #[arg(long)]
    pub no_chat: bool,
}

/// What a question is answered from and with.
#[derive(Debug, Clone, Default, Args)]
pub struct AnswerArgs {
    /// Chunks to retrieve
    #[arg(short = 'k', long = "chunks", value_name = "N")]
    pub chunks: Option<usize>,
    /// Most tokens of the answer
    #[arg(long, value_name = "N")]
    pub max_tokens: Option<usize>,
    /// APE's attention temperature T, greater than 0 and at most 1
    #[arg(long, value_name = "T")]
    pub attention_temperature: Option<f32>,
    /// APE's scale S, greater than 0 and at most 1
    #[arg(long, value_name = "S")]
    pub attention_scale: Option<f32>,
    /// Sampling temperature; 0 is greedy
    #[arg(long, value_name = "X")]
    pub temperature: Option<f64>,
    /// Sample from the most likely tokens that together have this probability
    #[arg(long, value_name = "P")]
    pub top_p: Option<f64>,
    /// Seed of the sampling
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
}

#[derive(Debug, Clone, Args)]
pub struct AskArgs {
    /// The question; `-`, or no words, reads it from standard input
    #[arg(value_name = "QUESTION")]
    pub question: Vec<String>,
    /// How chunks become context
    #[arg(long, short)]
    pub strategy: Option<Strategy>,
    #[command(flatten)]
    pub scope: ScopeArgs,
    #[command(flatten)]
    pub answer: AnswerArgs,
    #[command(flatten)]
    pub json: JsonArgs,
}

#[derive(Debug, Clone, Args)]
pub struct SearchArgs {
    /// The question; `-`, or no words, reads it from standard input
    #[arg(value_name = "QUESTION")]
    pub question: Vec<String>,
    /// Chunks to show
    #[arg(short = 'k', long = "chunks", value_name = "N")]
    pub chunks: Option<usize>,
    #[command(flatten)]
    pub scope: ScopeArgs,
    #[command(flatten)]
    pub json: JsonArgs,
}

#[derive(Debug, Clone, Args)]
pub struct CompareArgs {
    /// The question; `-`, or no words, reads it from standard input
    #[arg(value_name = "QUESTION")]
    pub question: Vec<String>,
    /// Strategies, separated by commas
    #[arg(long, value_delimiter = ',', default_value = "full,concat,parallel,ape", value_name = "NAMES")]
    pub strategies: Vec<Strategy>,
    /// How often each strategy answers; times are medians
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub runs: u16,
    /// Write the comparison into this file too: Markdown, JSON or a chart, by its end (.md, .json, .svg)
    #[arg(long, value_name = "FILE")]
    pub export: Option<PathBuf>,
    #[command(flatten)]
    pub scope: ScopeArgs,
    #[command(flatten)]
    pub answer: AnswerArgs,
    #[command(flatten)]
    pub json: JsonArgs,
}

#[derive(Debug, Clone, Subcommand)]
pub enum ModelCommand {
    /// Fetch the model unless it is on this machine
    Pull(JsonArgs),
    /// List the models on this machine
    Ls(JsonArgs),
}

#[derive(Debug, Clone, Subcommand)]
pub enum SessionsCommand {
    /// List the chats, the one used last first
    Ls(JsonArgs),
    /// List the chats in whose title or messages all words occur
    Search {
        /// Parts of words, in upper or lower case
        #[arg(value_name = "WORD", required = true)]
        words: Vec<String>,
        #[command(flatten)]
        json: JsonArgs,
    },
    /// Print the questions and answers of a chat as Markdown
    Show {
        /// As `sessions ls` lists it
        id: i64,
        #[command(flatten)]
        json: JsonArgs,
    },
    /// Print a chat as Markdown with its sources and times, or as JSON
    Export {
        /// As `sessions ls` lists it
        id: i64,
        /// Write it into this file instead; a file that is there is replaced
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
        #[command(flatten)]
        json: JsonArgs,
    },
    /// Give a chat another title
    Rename {
        /// As `sessions ls` lists it
        id: i64,
        /// The words of the title
        #[arg(required = true)]
        title: Vec<String>,
    },
    /// Remove a chat
    Rm {
        /// As `sessions ls` lists it
        id: i64,
    },
}

#[derive(Debug, Clone, Subcommand)]
pub enum ConfigCommand {
    /// Print where configuration, data and logs are
    Path,
    /// Print the configuration that is in force, as a configuration file
    Show,
    /// Print a configuration file with the defaults
    Template,
}

impl Cli {
    /// The flags as settings; the command's own count as much as the global ones.
    pub fn overrides(&self) -> Overrides {
        let GlobalArgs { model, config, offline, cache_dtype, dequantize, device, budget, no_color, .. } =
            self.global.clone();
        let global = Overrides {
            config_file: config,
            model,
            offline,
            cache_dtype,
            dequantize,
            device,
            no_color,
            budget,
            ..Overrides::default()
        };
        match &self.command {
            Some(Command::Ask(args)) => Overrides { strategy: args.strategy, ..args.answer.over(global) },
            Some(Command::Compare(args)) => args.answer.over(global),
            Some(Command::Search(args)) => Overrides { chunks: args.chunks, ..global },
            _ => global,
        }
    }
}

impl AnswerArgs {
    fn over(&self, global: Overrides) -> Overrides {
        Overrides {
            chunks: self.chunks,
            max_tokens: self.max_tokens,
            attention_temperature: self.attention_temperature,
            attention_scale: self.attention_scale,
            temperature: self.temperature,
            top_p: self.top_p,
            seed: self.seed,
            ..global
        }
    }
}

/// The end of `gibbon --help` and of the manual page.
fn after_help() -> String {
    let codes: Vec<String> =
        Exit::ALL.iter().map(|exit| format!("  {:<4} {}", exit.code(), exit.meaning())).collect();
    format!(
        "Examples:\n  gibbon demo\n  gibbon index ~/notes\n  gibbon ask \"When does the dome close?\"\n  gibbon\n\n\
         Exit codes:\n{}\n\n\
         Environment:\n  \
         GIBBON_HOME     keep configuration, data and logs under this one directory\n  \
         GIBBON_CONFIG   the configuration file\n  \
         GIBBON_MODEL    the model, as with --model\n  \
         GIBBON_LOG      what is written to the log file, such as gibbon=debug\n  \
         HF_HUB_OFFLINE  1: never use the network\n  \
         NO_COLOR        no colours\n\n\
         With --json, standard output is one JSON object with a \"schema\" number, also when a command fails\n(but for a wrong command line, which is reported on standard error alone).",
        codes.join("\n")
    )
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_become_settings() {
        let typed = [
            "gibbon",
            "ask",
            "--strategy",
            "full",
            "-k",
            "8",
            "--budget",
            "20GiB",
            "--attention-scale",
            "0.8",
            "when",
            "and",
            "where",
        ];
        let cli = Cli::try_parse_from(typed).unwrap();
        let overrides = cli.overrides();
        assert_eq!(overrides.strategy, Some(Strategy::Full));
        assert_eq!(overrides.chunks, Some(8));
        assert_eq!(overrides.budget, Some(ByteSize::gib(20)));
        assert_eq!(overrides.attention_scale, Some(0.8));
        let Some(Command::Ask(args)) = cli.command else { panic!("not ask") };
        assert_eq!(args.question, ["when", "and", "where"]);
    }

    #[test]
    fn collections_are_separated_by_commas_or_named_again() {
        let names = |typed: &[&str]| {
            let cli = Cli::try_parse_from([&["gibbon", "ask"], typed].concat()).unwrap();
            let Some(Command::Ask(args)) = cli.command else { panic!("not ask") };
            (args.scope.names(), args.question)
        };
        let (collections, words) = names(&["--in", "notes,work", "--in", "work, law", "when"]);
        assert_eq!(
            (collections, words),
            (vec!["notes".into(), "work".into(), "law".into()], vec!["when".into()])
        );
        assert!(names(&["--in", "notes,all", "when"]).0.is_empty());
        assert!(names(&["when"]).0.is_empty());
    }

    #[test]
    fn several_strategies_are_separated_by_commas() {
        let cli = Cli::try_parse_from(["gibbon", "compare", "--strategies", "ape,full", "when"]).unwrap();
        let Some(Command::Compare(args)) = cli.command else { panic!("not compare") };
        assert_eq!((args.strategies, args.runs), (vec![Strategy::Ape, Strategy::Full], 3));
    }

    #[test]
    fn every_exit_code_is_in_the_help() {
        let help = Cli::command().render_long_help().to_string();
        for exit in Exit::ALL {
            assert!(help.contains(exit.meaning()), "{exit:?} is missing");
        }
    }
}
