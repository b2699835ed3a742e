//! `service install --print`: the file with which systemd or launchd keeps an indexer running for this user.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use super::{Console, Error, Exit};
use crate::config::Config;

/// What starts programs for a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ServiceKind {
    /// A systemd user unit, for Linux
    Systemd,
    /// A launchd agent, for macOS
    Launchd,
}

impl ServiceKind {
    /// What this system has.
    pub fn of_system() -> Self {
        if cfg!(target_os = "macos") { Self::Launchd } else { Self::Systemd }
    }
}

/// What the service runs.
#[derive(Debug, Clone)]
pub struct ServiceOptions {
    pub kind: ServiceKind,
    /// Print it; nothing else is done for now.
    pub print: bool,
    pub program: PathBuf,
    /// Set for the service as they are here, so that it works on the same data.
    pub variables: Vec<(String, String)>,
}

pub fn install(config: &Config, options: &ServiceOptions, console: &mut Console) -> Result<Exit, Error> {
    let how = how_to_install(options.kind);
    if !options.print {
        return Err(Error::usage("the service file is only printed for now; add --print", how));
    }
    let text = match options.kind {
        ServiceKind::Systemd => unit(options),
        ServiceKind::Launchd => agent(options, &config.paths.state),
    }?;
    console.output(&text)?;
    console.note(how);
    Ok(Exit::Done)
}

fn how_to_install(kind: ServiceKind) -> &'static str {
    match kind {
        ServiceKind::Systemd => {
            "Save it as ~/.config/systemd/user/gibbon.service, then run `systemctl --user enable --now gibbon`."
        }
        ServiceKind::Launchd => {
            "Save it as ~/Library/LaunchAgents/gibbon.plist, then run `launchctl load -w` with that path."
        }
    }
}

/// The program's path as text: both formats hold nothing else.
fn program(options: &ServiceOptions) -> Result<&str, Error> {
    options.program.to_str().ok_or_else(|| {
        Error::usage(
            "the program's path is not UTF-8, which service files have to be",
            "Move the program to another folder.",
        )
    })
}

fn unit(options: &ServiceOptions) -> Result<String, Error> {
    let mut environment = String::new();
    for (name, value) in &options.variables {
        environment += &format!("Environment={}\n", quoted_for_systemd(&format!("{name}={value}")));
    }
    Ok(format!(
        "[Unit]\n\
         Description=Gibbon: keeps the index of your documents up to date\n\
         \n\
         [Service]\n\
         ExecStart={} index --watch --quiet\n\
         {environment}\
         Restart=on-failure\n\
         RestartSec=30\n\
         # nothing was added, there is no model, or the configuration is wrong: starting again would not help\n\
         RestartPreventExitStatus=2 3 4\n\
         KillSignal=SIGTERM\n\
         TimeoutStopSec=120\n\
         # the user comes first\n\
         Nice=10\n\
         CPUWeight=20\n\
         IOSchedulingClass=idle\n\
         IOWeight=20\n\
         UMask=0077\n\
         NoNewPrivileges=yes\n\
         \n\
         [Install]\n\
         WantedBy=default.target\n",
        quoted_for_systemd(program(options)?).replace('$', "$$")
    ))
}

/// In double quotes, with what means something to systemd escaped.
fn quoted_for_systemd(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%");
    format!("\"{}\"", escaped.replace('\n', "\\n").replace('\t', "\\t"))
}

fn agent(options: &ServiceOptions, state: &Path) -> Result<String, Error> {
    let string = |text: &str| format!("<string>{}</string>", escaped_for_xml(text));
    let arguments: Vec<String> = [program(options)?, "index", "--watch", "--quiet"]
        .map(|argument| format!("        {}\n", string(argument)))
        .into();
    let variables: Vec<String> = options
        .variables
        .iter()
        .map(|(name, value)| format!("        <key>{}</key>{}\n", escaped_for_xml(name), string(value)))
        .collect();
    let output = string(&state.join("background.log").to_string_lossy());
    Ok(format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n\
         <plist version=\"1.0\">\n\
         <dict>\n\
         \x20   <key>Label</key><string>gibbon</string>\n\
         \x20   <key>ProgramArguments</key>\n\
         \x20   <array>\n{}    </array>\n\
         \x20   <key>EnvironmentVariables</key>\n\
         \x20   <dict>\n{}    </dict>\n\
         \x20   <key>RunAtLoad</key><true/>\n\
         \x20   <key>KeepAlive</key><dict><key>Crashed</key><true/></dict>\n\
         \x20   <key>ThrottleInterval</key><integer>30</integer>\n\
         \x20   <key>ProcessType</key><string>Background</string>\n\
         \x20   <key>LowPriorityIO</key><true/>\n\
         \x20   <key>Nice</key><integer>10</integer>\n\
         \x20   <key>ExitTimeOut</key><integer>120</integer>\n\
         \x20   <key>Umask</key><integer>63</integer>\n\
         \x20   <key>StandardOutPath</key>{output}\n\
         \x20   <key>StandardErrorPath</key>{output}\n\
         </dict>\n\
         </plist>\n",
        arguments.concat(),
        variables.concat()
    ))
}

fn escaped_for_xml(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Those of the environment's variables that say where data and models are, as far as they are text.
pub fn own_variables(all: impl Iterator<Item = (OsString, OsString)>) -> Vec<(String, String)> {
    let is_own = |name: &str| name.starts_with("GIBBON_") || name == "HF_HUB_OFFLINE" || name == "HF_HOME";
    let mut own: Vec<_> = all
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| is_own(name))
        .collect();
    own.sort();
    own
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{commands::Verbosity, config::Paths};

    fn printed(kind: ServiceKind, print: bool) -> (Result<Exit, Error>, String) {
        let home = PathBuf::from("/home/ada");
        let config = Config::with_paths(Paths {
            config_file: home.join("config.toml"),
            data: home.join("data"),
            state: home.join("state & logs"),
        });
        let options = ServiceOptions {
            kind,
            print,
            program: "/opt/my \"tools\" 100%/$HOME/gibbon".into(),
            variables: vec![("GIBBON_HOME".into(), "/home/ada/<g> & 1%".into())],
        };
        let (mut console, output, _) = Console::captured(Verbosity::Normal);
        let result = install(&config, &options, &mut console);
        (result, output.text())
    }

    #[test]
    fn a_unit_and_an_agent_with_paths_that_need_quotes() {
        let (_, unit) = printed(ServiceKind::Systemd, true);
        let (_, agent) = printed(ServiceKind::Launchd, true);
        let plist = roxmltree::Document::parse_with_options(
            &agent,
            roxmltree::ParsingOptions { allow_dtd: true, ..roxmltree::ParsingOptions::default() },
        )
        .unwrap();
        let strings: Vec<_> = plist
            .descendants()
            .filter(|node| node.has_tag_name("string"))
            .filter_map(|node| node.text())
            .collect();
        assert!(strings.contains(&"/opt/my \"tools\" 100%/$HOME/gibbon"), "{strings:?}");
        insta::assert_snapshot!(format!("{unit}---\n{agent}"));
    }

    #[test]
    fn without_print_it_says_what_to_do() {
        let (result, output) = printed(ServiceKind::Systemd, false);
        let error = result.unwrap_err();
        assert_eq!((error.exit(), output.as_str()), (Exit::Usage, ""));
        assert!(error.hint().is_some_and(|hint| hint.contains("systemctl --user enable")));
    }
}
