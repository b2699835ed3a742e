//! `doctor`: checks that everything is there, with what to do where it is not.

use serde_json::json;

use super::{Console, Error, Exit, Stream, Style, json, text::pad};
use crate::{
    config::Config,
    engine::{
        admin::{self, Check, CheckStatus},
        visible,
    },
};

pub fn run(config: &Config, as_json: bool, console: &mut Console) -> Result<Exit, Error> {
    let checks = admin::doctor(config);
    if as_json {
        json::print(console, "doctor", json!({ "checks": checks }))?;
    } else {
        let text = listing(&checks, console.style(Stream::Output));
        console.output(&text)?;
    }
    let has_problem = checks.iter().any(|check| check.status == CheckStatus::Problem);
    Ok(if has_problem { Exit::Failed } else { Exit::Done })
}

fn listing(checks: &[Check], style: Style) -> String {
    use unicode_width::UnicodeWidthStr;
    let width = checks.iter().map(|check| visible(&check.name).width()).max().unwrap_or(0);
    let mut text = String::new();
    for check in checks {
        let mark = match check.status {
            CheckStatus::Ok => style.good("✓"),
            CheckStatus::Warning => style.warning("!"),
            CheckStatus::Problem => style.bad("✗"),
        };
        text += &format!("{mark} {}  {}\n", pad(&visible(&check.name), width), visible(&check.detail));
        if let Some(hint) = &check.hint {
            text += &format!("  {}  {}\n", " ".repeat(width), style.dim(&visible(hint)));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_are_aligned_with_their_hints() {
        let check = |name: &str, status, detail: &str, hint: Option<&str>| Check {
            name: name.into(),
            status,
            detail: detail.into(),
            hint: hint.map(str::to_owned),
        };
        let checks = [
            check("data directory", CheckStatus::Ok, "/home/ada/data can be written", None),
            check("cache", CheckStatus::Warning, "nearly full", Some("Raise --budget.")),
            check("model", CheckStatus::Problem, "not here \u{1b}[0m", Some("Run `gibbon model pull`.")),
        ];
        insta::assert_snapshot!(listing(&checks, Style::PLAIN));
    }
}
