//! The command line as a script sees it: exit codes, standard output, standard error. Nothing here needs a model.

use std::{
    io::Read,
    path::Path,
    process::{Command, Stdio},
};

use assert_cmd::assert::OutputAssertExt;
use gibbon::catalogue::{Catalogue, Message, Role};
use predicates::{prelude::PredicateBooleanExt, str::contains};
use serde_json::Value;
use tempfile::TempDir;

/// A run of the program that sees nothing of this machine's configuration.
struct Gibbon {
    home: TempDir,
}

impl Gibbon {
    fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap() }
    }

    fn with_config(text: &str) -> Self {
        let gibbon = Self::new();
        std::fs::write(gibbon.home.path().join("config.toml"), text).unwrap();
        gibbon
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("gibbon"));
        command.env_clear().env("GIBBON_HOME", self.home.path()).stdin(Stdio::null()).args(arguments);
        command
    }
}

fn stdout(command: &mut Command) -> String {
    String::from_utf8(command.assert().success().get_output().stdout.clone()).unwrap()
}

const COMMANDS: [&str; 12] = [
    "demo",
    "chat",
    "index",
    "ask",
    "search",
    "compare",
    "cache",
    "model",
    "doctor",
    "config",
    "man",
    "screenshots",
];

#[test]
fn help_lists_every_command_and_the_exit_codes() {
    let help = stdout(&mut Gibbon::new().command(&["--help"]));
    for command in COMMANDS.iter().chain(&["completions"]) {
        assert!(
            help.lines().any(|line| line.trim_start().starts_with(command)),
            "{command} is missing:\n{help}"
        );
    }
    for code in ["0 ", "1 ", "2 ", "3 ", "4 ", "5 ", "130 "] {
        assert!(help.lines().any(|line| line.trim_start().starts_with(code)), "{code} is missing:\n{help}");
    }
    assert!(!help.contains('\u{1b}'), "colours outside a terminal");
}

#[test]
fn every_command_has_help() {
    for command in COMMANDS {
        Gibbon::new().command(&[command, "--help"]).assert().success().stdout(contains("Usage: gibbon"));
    }
}

/// The pictures in the repository show the screen as it is; `gibbon screenshots` draws them anew.
#[test]
fn the_pictures_of_the_screen_are_not_stale() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut check = Gibbon::new().command(&["screenshots", "--check"]);
    check.current_dir(repository).assert().success();
}

#[test]
fn completions_are_made_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = stdout(&mut Gibbon::new().command(&["completions", shell]));
        assert!(script.contains("attention-scale") && script.contains("compare"), "{shell}");
    }
}

#[test]
fn the_manual_has_a_page_for_every_command() {
    let manual = stdout(&mut Gibbon::new().command(&["man"]));
    for command in COMMANDS {
        assert!(manual.contains(&format!(".TH gibbon-{command} ")), "{command} is missing");
    }
    assert!(manual.contains("Exit codes"));
}

#[test]
fn manual_pages_can_be_written_to_files() {
    let gibbon = Gibbon::new();
    let folder = gibbon.home.path().join("man1");
    gibbon.command(&["man", "--directory", folder.to_str().unwrap()]).assert().success().stdout("");
    let page = std::fs::read_to_string(folder.join("gibbon-ask.1")).unwrap();
    assert!(page.contains("strategy"));
}

#[test]
fn what_describes_the_program_leaves_no_files() {
    let gibbon = Gibbon::with_config("this is no TOML");
    gibbon.command(&["completions", "bash"]).assert().success();
    gibbon.command(&["man"]).assert().success();
    assert_eq!(std::fs::read_dir(gibbon.home.path()).unwrap().count(), 1);
}

#[test]
fn bad_flags_are_errors_of_usage() {
    let gibbon = Gibbon::new();
    for arguments in [
        &["--no-such-flag"][..],
        &["no-such-command"],
        &["ask", "--strategy", "magic", "why"],
        &["ask", "-k", "four", "why"],
        &["compare", "--strategies", "ape,magic", "why"],
        &["compare", "--runs", "0", "why"],
        &["ask", "--budget", "20 bananas", "why"],
        &["ask", "--quiet", "--verbose", "why"],
    ] {
        gibbon.command(arguments).assert().code(2).stdout("").stderr(contains("error:"));
    }
}

#[test]
fn values_out_of_range_name_their_flag() {
    Gibbon::new()
        .command(&["ask", "--attention-scale", "1.5", "why"])
        .assert()
        .code(2)
        .stdout("")
        .stderr(contains("--attention-scale must be greater than 0 and at most 1, not 1.5"));
}

#[test]
fn a_bad_configuration_file_names_line_and_key() {
    let gibbon = Gibbon::with_config("[answer]\n\nchunkz = 4\n");
    gibbon.command(&["config", "show"]).assert().code(2).stdout("").stderr(
        contains("config.toml").and(contains("line 3")).and(contains("chunkz")).and(contains("hint:")),
    );
    gibbon.command(&["--config", "/no/such/file.toml", "config", "show"]).assert().code(2);
}

#[test]
fn a_hostile_configuration_sends_no_escape_to_the_terminal() {
    let gibbon = Gibbon::with_config("[answer]\n\"\u{1b}]0;title\u{7}\" = 4\n");
    let output = gibbon.command(&["config", "show"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(!output.stderr.contains(&0x1b) && !output.stderr.contains(&0x07));
}

#[test]
fn home_holds_everything() {
    let gibbon = Gibbon::new();
    let paths = stdout(&mut gibbon.command(&["config", "path"]));
    assert_eq!(paths.lines().count(), 3);
    for line in paths.lines() {
        let (_, path) = line.split_once(' ').unwrap();
        assert!(Path::new(path.trim()).starts_with(gibbon.home.path()), "{line}");
    }
}

#[test]
fn flags_win_over_the_file() {
    let gibbon = Gibbon::with_config("[cache]\nbudget = '1 GiB'\ndtype = 'bf16'\n");
    let shown = stdout(&mut gibbon.command(&["--budget", "2GiB", "config", "show"]));
    assert!(shown.contains("budget = \"2 GiB\"") && shown.contains("dtype = \"bf16\""), "{shown}");
    let defaults = stdout(&mut gibbon.command(&["config", "template"]));
    assert!(defaults.contains("budget = \"20 GiB\""), "{defaults}");
}

#[test]
fn the_template_is_a_valid_configuration() {
    let gibbon = Gibbon::new();
    let template = stdout(&mut gibbon.command(&["config", "template"]));
    let again = Gibbon::with_config(&template);
    assert_eq!(stdout(&mut again.command(&["config", "show"])), template);
}

#[test]
fn without_a_question_nothing_is_asked() {
    let gibbon = Gibbon::new();
    for command in ["ask", "search", "compare"] {
        gibbon.command(&[command]).assert().code(2).stdout("").stderr(contains("no question"));
    }
}

#[test]
fn with_json_failures_are_json_too() {
    let output = Gibbon::new().command(&["ask", "--json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&value["schema"], &value["kind"]), (&1.into(), &"error".into()));
    assert_eq!(value["error"]["kind"], "bad_request");
}

#[test]
fn the_chat_needs_a_terminal() {
    for arguments in [&[][..], &["chat"]] {
        Gibbon::new()
            .command(arguments)
            .assert()
            .code(2)
            .stdout("")
            .stderr(contains("terminal").and(contains("gibbon ask")));
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let mut child =
        Gibbon::new().command(&["man"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let mut error = String::new();
    child.stderr.take().unwrap().read_to_string(&mut error).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(error, "");
}

#[test]
fn a_log_that_cannot_be_written_does_not_stop_a_command() {
    let gibbon = Gibbon::new();
    std::fs::write(gibbon.home.path().join("state"), "a file where a folder should be").unwrap();
    gibbon.command(&["config", "path"]).assert().success().stderr(contains("no log is written"));
    let bad_filter =
        Gibbon::new().command(&["config", "path"]).env("GIBBON_LOG", "gibbon=loud").output().unwrap();
    assert!(bad_filter.status.success());
    assert!(String::from_utf8_lossy(&bad_filter.stderr).contains("GIBBON_LOG"));
}

#[test]
fn chats_are_found_renamed_exported_and_removed() {
    let gibbon = Gibbon::new();
    let mut catalogue = Catalogue::open(&gibbon.home.path().join("data")).unwrap();
    let message =
        |role, text: &str| Message { role, text: text.into(), sources: None, timings: None, details: None };
    for (started, question) in [(10, "When does the dome close?"), (20, "How is the mirror cleaned?")] {
        let id = catalogue.start_session(question, started).unwrap();
        let turn = [message(Role::User, question), message(Role::Assistant, "At dusk\u{1b}[2J.")];
        catalogue.append_messages(id, &turn, None, started).unwrap();
    }
    drop(catalogue);

    let found = stdout(&mut gibbon.command(&["sessions", "search", "DOME", "dusk", "--json"]));
    let found: Value = serde_json::from_str(&found).unwrap();
    assert_eq!((&found["kind"], found["sessions"].as_array().unwrap().len()), (&"sessions".into(), 1));
    gibbon.command(&["sessions", "search", "dome", "mirror"]).assert().code(3).stdout("");

    gibbon.command(&["sessions", "rename", "1", "Closing", "the dome"]).assert().success();
    assert!(stdout(&mut gibbon.command(&["sessions", "ls"])).contains("Closing the dome"));

    let markdown = stdout(&mut gibbon.command(&["sessions", "export", "1"]));
    assert!(markdown.starts_with("# Closing the dome\n\nChat 1 of 1970-01-01 00:00 UTC"), "{markdown}");
    assert!(markdown.contains("## When does the dome close?\n\nAt dusk␛[2J.\n"), "{markdown}");
    let file = gibbon.home.path().join("chat.json");
    let arguments = ["sessions", "export", "1", "--json", "--output", file.to_str().unwrap()];
    gibbon.command(&arguments).assert().success().stdout("").stderr(contains("written to"));
    let chat: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(
        (&chat["kind"], &chat["turns"][0]["question"]),
        (&"chat".into(), &"When does the dome close?".into())
    );
    let nowhere = ["sessions", "export", "1", "--output", "/nowhere/chat.md"];
    gibbon.command(&nowhere).assert().code(1).stderr(contains("could not be written"));

    gibbon.command(&["sessions", "rm", "1"]).assert().success();
    let resume = ["chat", "--resume", "1"];
    for arguments in [&["sessions", "export", "1"][..], &["sessions", "rename", "1", "x"], &resume] {
        gibbon.command(arguments).assert().code(2).stderr(contains("there is no chat 1"));
    }
}

/// A device that is none is a wrong command line; one that this build cannot use says how to get one that can.
#[test]
fn a_device_that_cannot_be_used_is_refused() {
    let gibbon = Gibbon::new();
    gibbon.command(&["--device", "gpu", "doctor"]).assert().code(2).stderr(contains("cuda:1"));
    if !cfg!(feature = "cuda") {
        let mut ask = gibbon.command(&["--device", "cuda", "ask", "why?"]);
        ask.assert().code(2).stderr(contains("on the CPU alone").and(contains("--features cuda")));
    }
}
