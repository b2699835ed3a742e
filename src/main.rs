//! Parse, resolve, dispatch; the only place that exits.

use std::{
    env, fmt,
    io::{self, IsTerminal, Write},
    panic::PanicHookInfo,
    path::Path,
    process::{self, ExitCode},
    rc::Rc,
};

use clap::{CommandFactory, Parser};
use color_eyre::{
    config::{HookBuilder, Theme},
    section::PanicMessage,
};
#[cfg(feature = "cuda")]
use gibbon::{cli::bench::BenchCommand, commands::bench};
use gibbon::{
    cli::{
        CacheBy, CacheCommand, Cli, CollectionCommand, Command, ConfigCommand, LsArgs, ModelCommand,
        ServiceCommand, SessionsCommand,
    },
    commands::{
        Console, Error, Exit, Interrupts, Verbosity, ask, background, cache,
        chat::{self, Begin},
        collection, compare, configuration, demo, doctor, index, json, manual, model, screenshots, search,
        service, sessions, status,
    },
    config::{Config, ConfigError, Environment, Overrides, Paths, create_private_folder},
    corpus::fence,
    engine::{ChatId, Engine, Event, admin, visible},
    tui::{self, ScreenError},
};
use rustix::fs::Mode;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
};
use tracing_appender::{
    non_blocking::WorkerGuard,
    rolling::{RollingFileAppender, Rotation},
};
use tracing_subscriber::EnvFilter;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Days for which log files are kept.
const LOG_FILES: usize = 7;

fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|argument| argument == fence::WORKER_ARGUMENT) {
        return read_for_another_process();
    }
    let environment = Environment::of_process();
    install_panic_report(&environment);
    let cli = Cli::try_parse().unwrap_or_else(|error| end_with(&error));
    let overrides = cli.overrides();
    let config = Config::resolve(&overrides, &environment).map(with_reader_program);
    let mut console = console(&cli, &config, &overrides, &environment);
    let exit = run(&cli, config, &environment, &mut console).unwrap_or_else(|error| {
        report(&error, wants_json(&cli), &mut console);
        error.exit()
    });
    ExitCode::from(exit.code())
}

/// Reads documents as long as the process that started this one hands them over. No command line, configuration or log:
/// it may use nothing of them.
fn read_for_another_process() -> ExitCode {
    match fence::serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Goes to the other process, where there still is one.
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

/// Names this program as the one that reads documents in processes of its own.
fn with_reader_program(mut config: Config) -> Config {
    // On Linux this is the program that runs, also when its file was replaced meanwhile.
    let own = Path::new("/proc/self/exe");
    let own = if own.exists() { Ok(own.to_owned()) } else { std::env::current_exe() };
    config.corpus.reader_program = own.ok();
    config
}

/// Says what is wrong with the command line, or prints the help that was asked for. An argument may be the name of
/// somebody else's file, so what is quoted of it is made harmless.
fn end_with(error: &clap::Error) -> ! {
    let text = error.render().to_string();
    let harmless = visible(&text);
    if harmless == text {
        error.exit();
    }
    eprint!("{harmless}");
    process::exit(error.exit_code());
}

/// Reports of panics. Installed before any terminal is taken over, so that the screen's own hook, which gives the
/// terminal back, runs first.
fn install_panic_report(environment: &Environment) {
    let mut report = HookBuilder::default().panic_message(PanicReport).display_env_section(false);
    if !io::stderr().is_terminal() || environment.get("NO_COLOR").is_some() {
        report = report.theme(Theme::new());
    }
    if let Err(error) = report.install() {
        eprintln!("warning: panics will be reported plainly: {error}");
    }
}

/// What a panic says may quote a document, so it is made harmless like everything else that does.
struct PanicReport;

impl PanicMessage for PanicReport {
    fn display(&self, panic: &PanicHookInfo<'_>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let payload = panic.payload();
        let message = payload
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| payload.downcast_ref::<&str>().copied())
            .unwrap_or("no message");
        writeln!(f, "Gibbon crashed, which is a defect of Gibbon: {}", visible(message))?;
        match panic.location() {
            Some(location) => write!(f, "at {}:{}", location.file(), location.line()),
            None => Ok(()),
        }
    }
}

/// Where there is no configuration, its error is reported in the colours that flags and variables alone allow.
fn console(
    cli: &Cli,
    config: &Result<Config, ConfigError>,
    overrides: &Overrides,
    environment: &Environment,
) -> Console {
    let verbosity = match (cli.global.quiet, cli.global.verbose) {
        (true, _) => Verbosity::Quiet,
        (_, true) => Verbosity::Verbose,
        _ => Verbosity::Normal,
    };
    let color = match config {
        Ok(config) => config.screen.color,
        Err(_) => !overrides.no_color && environment.get("NO_COLOR").is_none(),
    };
    Console::of_process(color, verbosity)
}

fn run(
    cli: &Cli,
    config: Result<Config, ConfigError>,
    environment: &Environment,
    console: &mut Console,
) -> Result<Exit, Error> {
    match &cli.command {
        // These describe the program itself and work whatever the configuration says.
        Some(Command::Completions { shell }) => {
            return manual::completions(&mut Cli::command(), *shell, console);
        }
        Some(Command::Man { directory }) => {
            return manual::man(Cli::command(), directory.as_deref(), console);
        }
        Some(Command::Screenshots { directory, check }) => {
            return pictures(directory, *check, console);
        }
        _ => {}
    }
    let config = config.map_err(|error| Error::usage(error.to_string(), error.hint()))?;
    // Whatever the shell's mask: documents, their caches, chats and logs are for their owner alone, from their first byte.
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    let _log = start_log(&config.paths, environment, console);
    admin::keep_private(&config.paths);
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "started");
    dispatch(cli, &config, console)
}

fn dispatch(cli: &Cli, config: &Config, console: &mut Console) -> Result<Exit, Error> {
    match cli.command.clone() {
        None => chat::run(config, Begin::NewChat, &screen),
        Some(Command::Chat(args)) => {
            let begin = args.resume.map_or(Begin::NewChat, Begin::Resume);
            chat::run(config, begin, &screen)
        }
        Some(Command::Demo(args)) => {
            let exit = demo::run(config, console, &watch_interrupts)?;
            let open_chat = exit == Exit::Done && !args.no_chat && chat::has_terminal();
            if !open_chat || !chat::is_wanted(console)? {
                return Ok(exit);
            }
            chat::run(config, Begin::NewChat, &screen)
        }
        Some(Command::Index(args)) => {
            if let Some(order) = args.order() {
                return status::order(config, order, console);
            }
            if args.background {
                return background::start(config, background::detached()?, console);
            }
            let options = index::IndexOptions {
                add: args.paths,
                collections: args.collection,
                forget: args.forget,
                encode: !args.no_encode,
                watch: args.watch,
                detached: args.detached,
                json: args.json.json,
            };
            index::run(config, &options, console, &watch_interrupts)
        }
        Some(Command::Status { watch, json }) => {
            status::run(config, json.json, watch, console, &watch_interrupts)
        }
        Some(Command::Service(ServiceCommand::Install { print, kind })) => {
            let options = service::ServiceOptions {
                kind: kind.unwrap_or_else(service::ServiceKind::of_system),
                print,
                program: env::current_exe()?,
                variables: service::own_variables(env::vars_os()),
            };
            service::install(config, &options, console)
        }
        Some(Command::Ask(args)) => {
            let options = ask::AskOptions {
                words: args.question,
                collections: args.scope.names(),
                json: args.json.json,
            };
            ask::run(config, &options, console, &watch_interrupts)
        }
        Some(Command::Search(args)) => {
            let options = search::SearchOptions {
                words: args.question,
                collections: args.scope.names(),
                json: args.json.json,
            };
            search::run(config, &options, console, &watch_interrupts)
        }
        Some(Command::Compare(args)) => {
            let options = compare::CompareOptions {
                words: args.question,
                collections: args.scope.names(),
                strategies: args.strategies,
                runs: args.runs.into(),
                export: args.export,
                json: args.json.json,
            };
            compare::run(config, &options, console, &watch_interrupts)
        }
        #[cfg(feature = "cuda")]
        Some(Command::Bench(BenchCommand::Gpu(args))) => {
            let options = bench::BenchOptions {
                measure: args.options(),
                baseline: args.baseline,
                output: args.output,
                json: args.json.json,
            };
            bench::gpu(config, &options, console)
        }
        Some(Command::Collection(command)) => manage_collections(command, config, console),
        Some(Command::Cache(command)) => manage_cache(command, config, console),
        Some(Command::Model(ModelCommand::Pull(args))) => model::pull(config, args.json, console),
        Some(Command::Model(ModelCommand::Ls(args))) => model::ls(config, args.json, console),
        Some(Command::Sessions(command)) => manage_sessions(command, config, console),
        Some(Command::Doctor(args)) => doctor::run(config, args.json, console),
        Some(Command::Config(ConfigCommand::Path)) => configuration::path(config, console),
        Some(Command::Config(ConfigCommand::Show)) => configuration::show(config, console),
        Some(Command::Config(ConfigCommand::Template)) => configuration::template(config, console),
        Some(Command::Completions { shell }) => manual::completions(&mut Cli::command(), shell, console),
        Some(Command::Man { directory }) => manual::man(Cli::command(), directory.as_deref(), console),
        Some(Command::Screenshots { directory, check }) => pictures(&directory, check, console),
    }
}

fn manage_collections(
    command: CollectionCommand,
    config: &Config,
    console: &mut Console,
) -> Result<Exit, Error> {
    match command {
        CollectionCommand::Ls(args) => collection::ls(config, args.json, console),
        CollectionCommand::Show { name, json } => collection::show(config, &name, json.json, console),
        CollectionCommand::Add { name, paths, include, exclude, system_prompt } => {
            let options = collection::AddOptions { name, paths, include, exclude, system_prompt };
            collection::add(config, &options, console)
        }
        CollectionCommand::Remove { name } => collection::remove(config, &name, console),
    }
}

fn manage_cache(command: CacheCommand, config: &Config, console: &mut Console) -> Result<Exit, Error> {
    match command {
        CacheCommand::Ls(LsArgs { by, lines, json }) => {
            let lines = if lines == 0 { usize::MAX } else { lines };
            match by {
                CacheBy::Model => cache::ls(config, lines, json.json, console),
                CacheBy::Collection => cache::ls_by_collection(config, lines, json.json, console),
                CacheBy::File => cache::ls_by_file(config, lines, json.json, console),
            }
        }
        CacheCommand::Verify(json) => cache::verify(config, json.json, console),
        CacheCommand::Gc { dry_run, all_models, json } => {
            cache::gc(config, all_models, dry_run, json.json, console)
        }
        CacheCommand::Prune { all, json } => cache::prune(config, all, json.json, console),
    }
}

fn manage_sessions(command: SessionsCommand, config: &Config, console: &mut Console) -> Result<Exit, Error> {
    match command {
        SessionsCommand::Ls(json) => sessions::ls(config, json.json, console),
        SessionsCommand::Search { words, json } => {
            sessions::search(config, &words.join(" "), json.json, console)
        }
        SessionsCommand::Show { id, json } => sessions::show(config, id, json.json, console),
        SessionsCommand::Export { id, output, json } => {
            sessions::export(config, id, json.json, output.as_deref(), console)
        }
        SessionsCommand::Rename { id, title } => sessions::rename(config, id, &title.join(" "), console),
        SessionsCommand::Rm { id } => sessions::rm(config, id, console),
    }
}

fn wants_json(cli: &Cli) -> bool {
    match &cli.command {
        Some(Command::Index(args)) => args.json.json,
        Some(Command::Status { json, .. }) => json.json,
        Some(Command::Ask(args)) => args.json.json,
        Some(Command::Search(args)) => args.json.json,
        Some(Command::Compare(args)) => args.json.json,
        Some(Command::Doctor(args)) => args.json,
        #[cfg(feature = "cuda")]
        Some(Command::Bench(BenchCommand::Gpu(args))) => args.json.json,
        Some(Command::Cache(CacheCommand::Ls(LsArgs { json, .. }))) => json.json,
        Some(Command::Cache(CacheCommand::Verify(args))) => args.json,
        Some(Command::Cache(CacheCommand::Gc { json, .. } | CacheCommand::Prune { json, .. })) => json.json,
        Some(Command::Collection(CollectionCommand::Ls(args))) => args.json,
        Some(Command::Collection(CollectionCommand::Show { json, .. })) => json.json,
        Some(Command::Model(ModelCommand::Pull(args) | ModelCommand::Ls(args))) => args.json,
        Some(Command::Sessions(SessionsCommand::Ls(args))) => args.json,
        Some(Command::Sessions(
            SessionsCommand::Search { json, .. }
            | SessionsCommand::Show { json, .. }
            | SessionsCommand::Export { json, .. },
        )) => json.json,
        _ => false,
    }
}

fn report(error: &Error, as_json: bool, console: &mut Console) {
    if error.is_silent() {
        return;
    }
    tracing::error!(%error, "the command failed");
    console.failure(&error.to_string(), error.hint());
    if as_json {
        // Standard output may be what failed; the message above has been said.
        let _ = json::print_error(console, error);
    }
}

/// The screen of the chat.
fn screen(
    config: &Config,
    engine: Engine,
    events: UnboundedReceiver<Event>,
    resume: Option<ChatId>,
) -> Result<(), Error> {
    tui::run(config, engine, events, resume).map_err(|error| match error {
        ScreenError::Theme(_) | ScreenError::Keys { .. } => Error::usage(
            error.to_string(),
            "Correct the value; `gibbon config path` prints where the file is.",
        ),
        ScreenError::NoTerminal | ScreenError::Terminal(_) => io::Error::other(error).into(),
    })
}

/// Writes the pictures of the screen, or says which are stale.
fn pictures(directory: &Path, check: bool, console: &mut Console) -> Result<Exit, Error> {
    let mut files = Vec::new();
    for picture in tui::pictures::PICTURES {
        let drawing = Rc::new(picture.draw().map_err(io::Error::other)?);
        let svg = drawing.svg().into_bytes();
        files.push(screenshots::PictureFile {
            name: format!("{}.svg", picture.name),
            draw: Box::new({
                let svg = svg.clone();
                move || Ok(svg.clone())
            }),
            is_current: Box::new(move |content| content == svg),
        });
        let again = Rc::clone(&drawing);
        files.push(screenshots::PictureFile {
            name: format!("{}.png", picture.name),
            draw: Box::new(move || drawing.png().map_err(io::Error::other)),
            is_current: Box::new(move |content| again.is_png(content)),
        });
    }
    if check {
        screenshots::check(&files, directory, console)
    } else {
        screenshots::write(&files, directory, console)
    }
}

/// Counts Ctrl-C, and being told to end, until the receiver is gone: the first is passed on, so that the request is cancelled and what is there
/// is printed; the second ends the program at once.
fn watch_interrupts() -> Interrupts {
    let (send, receive) = unbounded_channel();
    let watch = async move {
        let mut is_cancelling = false;
        let mut terminate = signal(SignalKind::terminate()).ok();
        loop {
            tokio::select! {
                () = send.closed() => return,
                pressed = told_to_stop(&mut terminate) => match pressed {
                    Ok(()) if is_cancelling => process::exit(Exit::Cancelled.code().into()),
                    Ok(()) => is_cancelling = send.send(()).is_ok(),
                    Err(error) => return tracing::warn!(%error, "Ctrl-C is not watched"),
                },
            }
        }
    };
    let started = std::thread::Builder::new().name("interrupts".into()).spawn(move || {
        match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime.block_on(watch),
            Err(error) => tracing::warn!(%error, "Ctrl-C is not watched"),
        }
    });
    if let Err(error) = started {
        tracing::warn!(%error, "Ctrl-C is not watched");
    }
    receive
}

/// Completes at Ctrl-C, and when the process is asked to end, as by `kill` or when the user logs out.
async fn told_to_stop(terminate: &mut Option<Signal>) -> io::Result<()> {
    let asked = async {
        match terminate {
            Some(signal) => signal.recv().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        pressed = tokio::signal::ctrl_c() => pressed,
        _ = asked => Ok(()),
    }
}

/// Logs to a file for each day. Nothing of a log goes to the terminal: the screen may own it.
fn start_log(paths: &Paths, environment: &Environment, console: &mut Console) -> Option<WorkerGuard> {
    let usual =
        if console.verbosity() == Verbosity::Verbose { "warn,gibbon=debug" } else { "warn,gibbon=info" };
    let wanted = environment.get("GIBBON_LOG").and_then(|value| value.to_str());
    let filter = match wanted.map(EnvFilter::try_new) {
        Some(Ok(filter)) => filter,
        Some(Err(error)) => {
            console.warning(&format!("GIBBON_LOG is not understood: {error}"));
            EnvFilter::new(usual)
        }
        None => EnvFilter::new(usual),
    };
    let appender = create_private_folder(&paths.state).map_err(|error| error.to_string()).and_then(|()| {
        RollingFileAppender::builder()
            .rotation(Rotation::DAILY)
            .filename_prefix("gibbon")
            .filename_suffix("log")
            .max_log_files(LOG_FILES)
            .build(&paths.state)
            .map_err(|error| error.to_string())
    });
    let appender = match appender {
        Ok(appender) => appender,
        Err(error) => {
            console.warning(&format!("no log is written to {}: {error}", console.path(&paths.state)));
            return None;
        }
    };
    let (writer, guard) = tracing_appender::non_blocking(appender);
    let installed =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_ansi(false).try_init();
    if let Err(error) = installed {
        console.warning(&format!("no log is written: {error}"));
    }
    Some(guard)
}
