//! Which files of a repository make the model, and which names are safe to use as paths and in addresses.

use super::error::{HubError, printable};
use super::local::{WEIGHTS_INDEX, is_gguf_name};

const DEFAULT_REVISION: &str = "main";
/// Taken where a repository has several quantisations and none was named: the usual middle of size and quality.
const USUAL_QUANTISATION: &str = "q4_k_m";

/// A repository of the Hub, with names that have been checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    /// `owner/name`.
    pub repository: String,
    /// A branch, a tag or a commit.
    pub revision: String,
    /// A GGUF file of the repository.
    pub file: Option<String>,
}

impl Wanted {
    /// # Errors
    /// [`HubError::BadName`] for a name that could lead out of the cache or change an address.
    pub fn new(repository: &str, file: Option<&str>, revision: Option<&str>) -> Result<Self, HubError> {
        let parts: Vec<&str> = repository.split('/').collect();
        if parts.len() > 2 || !is_plain_name(repository) || repository.contains("--") {
            return Err(bad_name(repository, "a repository is owner/name"));
        }
        let revision = revision.unwrap_or(DEFAULT_REVISION);
        if !is_plain_name(revision) {
            return Err(bad_name(revision, "a revision is a branch, a tag or a commit"));
        }
        if let Some(file) = file
            && (!is_plain_name(file) || !is_gguf_name(file))
        {
            return Err(bad_name(file, "a file of a repository must be a GGUF file"));
        }
        Ok(Self {
            repository: repository.to_owned(),
            revision: revision.to_owned(),
            file: file.map(str::to_owned),
        })
    }

    /// How it is shown: `owner/name`, or `owner/name/file`.
    pub fn display_name(&self) -> String {
        match &self.file {
            Some(file) => format!("{}/{file}", self.repository),
            None => self.repository.clone(),
        }
    }
}

fn bad_name(name: &str, reason: &'static str) -> HubError {
    HubError::BadName { name: printable(name, 200), reason }
}

/// The files that make a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Selection {
    Gguf(String),
    /// Everything but the weights, then the file that is or names the weights.
    Directory {
        small_files: Vec<String>,
        weights: String,
    },
}

/// Chooses among a repository's files. `names` are paths within it; only those at its top are considered.
pub(super) fn select(repository: &str, names: &[String]) -> Result<Selection, HubError> {
    let has = |wanted: &str| names.iter().any(|name| name == wanted);
    let weights = ["model.safetensors", WEIGHTS_INDEX].into_iter().find(|name| has(name));
    if let Some(weights) = weights
        && has("config.json")
        && has("tokenizer.json")
    {
        let small_files = [
            "config.json",
            "tokenizer.json",
            "tokenizer_config.json",
            "generation_config.json",
            "chat_template.jinja",
        ];
        let small_files = small_files.into_iter().filter(|name| has(name)).map(str::to_owned).collect();
        return Ok(Selection::Directory { small_files, weights: weights.to_owned() });
    }
    let ggufs: Vec<&String> = names.iter().filter(|name| is_whole_gguf(name)).collect();
    let usual: Vec<&&String> =
        ggufs.iter().filter(|name| name.to_ascii_lowercase().contains(USUAL_QUANTISATION)).collect();
    match (ggufs.as_slice(), usual.as_slice()) {
        ([only], _) => Ok(Selection::Gguf((*only).clone())),
        (_, [usual]) => Ok(Selection::Gguf((**usual).clone())),
        ([], _) => Err(HubError::Unusable {
            repository: repository.to_owned(),
            reason: "it has neither a GGUF file nor config.json, tokenizer.json and safetensors weights"
                .to_owned(),
        }),
        (several, _) => Err(HubError::ChooseFile {
            repository: repository.to_owned(),
            files: several.iter().map(|name| name.to_string()).collect(),
        }),
    }
}

/// A GGUF file at the top of the repository that is a whole language model: no part of a split one, no image encoder.
fn is_whole_gguf(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    is_gguf_name(name)
        && is_plain_name(name)
        && !name.contains('/')
        && !lower.contains("-of-0")
        && !lower.contains("mmproj")
}

/// True for a relative path of ordinary characters and no `.` or `..`, safe to join to a directory and to put into
/// an address.
pub(super) fn is_plain_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 255
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-+=@,/".contains(&byte))
        && name.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for name in [
            "",
            "/a",
            "a/",
            "../a",
            "a/../b",
            "a//b",
            "./a",
            "a\\b",
            "a?b",
            "a#b",
            "a b",
            "a%2e",
            "\u{1b}[2J",
        ] {
            assert!(!is_plain_name(name), "{name:?}");
        }
        for name in ["a", "a/b.gguf", "refs/pr/1", "v1.0..2", "SmolLM2-135M-Instruct.Q4_1.gguf"] {
            assert!(is_plain_name(name), "{name:?}");
        }
        assert!(Wanted::new("a/b/c", None, None).is_err());
        assert!(Wanted::new("../b", None, None).is_err());
        assert!(Wanted::new("a/b", Some("../b.gguf"), None).is_err());
        assert!(Wanted::new("a/b", Some("model.safetensors"), None).is_err());
        assert!(Wanted::new("a/b", None, Some("../main")).is_err());
        assert!(Wanted::new("a/b", Some("c.gguf"), Some("refs/pr/1")).is_ok());
    }

    #[test]
    fn safetensors_with_their_small_files_come_first() {
        let files = names(&["README.md", "config.json", "model.safetensors", "tokenizer.json", "x.gguf"]);
        assert_eq!(
            select("a/b", &files).unwrap(),
            Selection::Directory {
                small_files: names(&["config.json", "tokenizer.json"]),
                weights: "model.safetensors".to_owned()
            }
        );
    }

    #[test]
    fn the_only_gguf_file_is_taken_and_of_several_the_usual_quantisation() {
        let one = names(&["README.md", "m-Q8_0.gguf", "mmproj-f16.gguf", "sub/m-Q4_0.gguf"]);
        assert_eq!(select("a/b", &one).unwrap(), Selection::Gguf("m-Q8_0.gguf".to_owned()));
        let usual = names(&["m-Q8_0.gguf", "m-Q4_K_M.gguf", "m-Q2_K.gguf"]);
        assert_eq!(select("a/b", &usual).unwrap(), Selection::Gguf("m-Q4_K_M.gguf".to_owned()));
    }

    #[test]
    fn a_choice_that_is_not_clear_is_left_to_the_user() {
        let error = select("a/b", &names(&["m-Q8_0.gguf", "m-Q2_K.gguf"])).unwrap_err();
        assert!(matches!(&error, HubError::ChooseFile { files, .. } if files.len() == 2), "{error:?}");
        let parts = names(&["m-00001-of-00002.gguf", "m-00002-of-00002.gguf", "config.json"]);
        assert!(matches!(select("a/b", &parts).unwrap_err(), HubError::Unusable { .. }));
    }
}
