//! `model`: the models on this machine.

use serde_json::json;

use super::{
    Console, Error, Exit, Stream, Style, json,
    text::{bytes, table},
};
use crate::{
    config::{Config, ModelSource},
    engine::{
        admin::{self, ModelFile, PullProgress},
        visible,
    },
};

/// Makes sure that the model is on this machine and says where.
pub fn pull(config: &Config, as_json: bool, console: &mut Console) -> Result<Exit, Error> {
    let model = pull_with_progress(config, console)?;
    if as_json {
        json::print(console, "model", json!({ "model": json::model(&model) }))?;
    } else {
        let path = console.path(&model.path);
        console.output(&format!("{}  {}  {path}\n", visible(&model.name), bytes(model.bytes)))?;
    }
    Ok(Exit::Done)
}

/// Fetches the configured model unless it is there; says what it fetches and from where before it does.
pub fn pull_with_progress(config: &Config, console: &mut Console) -> Result<ModelFile, Error> {
    let what = description(&config.model.source);
    let result = admin::model_pull(config, &mut |progress| show_progress(console, &what, progress));
    console.end_progress();
    Ok(result?)
}

fn show_progress(console: &mut Console, what: &str, progress: PullProgress) {
    match progress {
        PullProgress::Source(source) => console.note(&format!("fetching {what} from {source}")),
        PullProgress::Bytes { done, total } => console.progress("fetching", done, total, "bytes"),
        PullProgress::Checking => console.progress("checking", 0, 0, ""),
        PullProgress::Warning(message) => console.warning(&message),
    }
}

/// What is fetched, and how large it is where that is known beforehand.
fn description(source: &ModelSource) -> String {
    match source {
        ModelSource::Default => {
            format!("SmolLM2-135M-Instruct (GGUF Q4_1, {}, Apache-2.0)", bytes(admin::DEFAULT_MODEL_BYTES))
        }
        other => visible(&other.to_string()).into_owned(),
    }
}

pub fn ls(config: &Config, as_json: bool, console: &mut Console) -> Result<Exit, Error> {
    let models = admin::model_list(config)?;
    if as_json {
        let models: Vec<_> = models.iter().map(json::model).collect();
        json::print(console, "models", json!({ "models": models }))?;
    } else if models.is_empty() {
        console.note("No model on this machine yet; `gibbon model pull` fetches one.");
    } else {
        let text = listing(&models, console, console.style(Stream::Output));
        console.output(&text)?;
    }
    Ok(Exit::Done)
}

fn listing(models: &[ModelFile], console: &Console, style: Style) -> String {
    let rows: Vec<Vec<String>> = models
        .iter()
        .map(|model| {
            vec![
                if model.current { "*" } else { "" }.to_owned(),
                visible(&model.name).into_owned(),
                bytes(model.bytes),
                console.path(&model.path),
            ]
        })
        .collect();
    table(&["", "model", "size", "path"], "<<><", &rows, style)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::Verbosity;

    #[test]
    fn models_are_listed_with_the_current_one_marked() {
        let (console, _, _) = Console::captured(Verbosity::Normal);
        let model = |name: &str, current| ModelFile {
            name: name.into(),
            path: format!("/home/ada/models/{name}.gguf").into(),
            bytes: 98_362_432,
            current,
        };
        insta::assert_snapshot!(listing(
            &[model("SmolLM2", true), model("tiny", false)],
            &console,
            Style::PLAIN
        ));
    }

    #[test]
    fn what_is_fetched_is_said_before() {
        let (mut console, _, error) = Console::captured(Verbosity::Normal);
        let what = description(&ModelSource::Default);
        show_progress(&mut console, &what, PullProgress::Source("the Hugging Face Hub".into()));
        show_progress(&mut console, &what, PullProgress::Bytes { done: 1, total: 2 });
        show_progress(&mut console, &what, PullProgress::Warning("no network".into()));
        assert_eq!(
            error.text(),
            "fetching SmolLM2-135M-Instruct (GGUF Q4_1, 93.8 MiB, Apache-2.0) from the Hugging Face Hub\n\
             warning: no network\n"
        );
    }
}
