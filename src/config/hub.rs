//! How the Hugging Face Hub is reached, and where its cache is: the variables that its own tools honour.

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::PathBuf;

/// How the Hugging Face Hub is reached and where downloaded files are kept.
#[derive(Clone, PartialEq, Eq)]
pub struct HubAccess {
    /// Base address of the Hub or a mirror of it; `None` is the public Hub.
    pub endpoint: Option<String>,
    /// The cache directory, in the layout that all tools of the Hub share.
    pub cache: PathBuf,
    /// Sent with every request to the Hub; private and gated repositories need it.
    pub token: Option<String>,
}

impl HubAccess {
    /// What the environment says: HF_ENDPOINT, HF_HUB_CACHE, HF_HOME, HF_TOKEN, HF_TOKEN_PATH.
    ///
    /// With GIBBON_HOME set and neither HF_HUB_CACHE nor HF_HOME, the cache is under GIBBON_HOME as everything else.
    /// Without HF_TOKEN, the token is the one that a login on this machine left.
    pub fn from_env() -> Self {
        Self::from_variables(&|name| std::env::var_os(name))
    }

    /// As [`from_env`](Self::from_env), with the variables given by `lookup`.
    pub fn from_variables(lookup: &dyn Fn(&str) -> Option<OsString>) -> Self {
        let set = |name: &str| lookup(name).filter(|value| !value.is_empty());
        let path = |name: &str| set(name).map(PathBuf::from);
        let text = |name: &str| set(name).and_then(|value| value.into_string().ok());
        // Without a home directory the current directory stands in for it.
        let caches = path("XDG_CACHE_HOME")
            .or_else(|| path("HOME").or_else(std::env::home_dir).map(|home| home.join(".cache")))
            .unwrap_or_else(|| PathBuf::from(".cache"));
        let home = path("HF_HOME");
        let login = home.clone().unwrap_or_else(|| caches.join("huggingface"));
        let cache = path("HF_HUB_CACHE")
            .or_else(|| home.map(|home| home.join("hub")))
            .or_else(|| path("GIBBON_HOME").map(|home| home.join("huggingface").join("hub")))
            .unwrap_or_else(|| caches.join("huggingface").join("hub"));
        let token_file = path("HF_TOKEN_PATH").unwrap_or_else(|| login.join("token"));
        let token = text("HF_TOKEN").or_else(|| fs::read_to_string(token_file).ok());
        Self {
            endpoint: text("HF_ENDPOINT").map(|endpoint| endpoint.trim_end_matches('/').to_owned()),
            cache,
            token: token.map(|token| token.trim().to_owned()).filter(|token| !token.is_empty()),
        }
    }
}

impl Default for HubAccess {
    /// The public Hub with the cache in the user's home directory.
    fn default() -> Self {
        Self::from_variables(&|_| None)
    }
}

impl fmt::Debug for HubAccess {
    /// Leaves the token out, so that no log holds it.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("HubAccess")
            .field("endpoint", &self.endpoint)
            .field("cache", &self.cache)
            .field("token", &self.token.as_ref().map(|_| "(set)"))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(variables: &[(&str, &str)]) -> HubAccess {
        HubAccess::from_variables(&|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn the_cache_is_where_the_most_specific_variable_says() {
        let all = [
            ("HOME", "/h"),
            ("XDG_CACHE_HOME", "/x"),
            ("GIBBON_HOME", "/g"),
            ("HF_HOME", "/f"),
            ("HF_HUB_CACHE", "/c"),
        ];
        let caches: Vec<_> = (1..=all.len()).map(|count| access(&all[..count]).cache).collect();
        let expected =
            ["/h/.cache/huggingface/hub", "/x/huggingface/hub", "/g/huggingface/hub", "/f/hub", "/c"];
        assert_eq!(caches, expected.map(PathBuf::from));
    }

    #[test]
    fn an_empty_variable_counts_as_unset() {
        let access = access(&[("HOME", "/h"), ("HF_HOME", ""), ("HF_ENDPOINT", ""), ("HF_TOKEN", " ")]);
        assert_eq!(access.cache, PathBuf::from("/h/.cache/huggingface/hub"));
        assert_eq!((access.endpoint, access.token), (None, None));
    }

    #[test]
    fn the_token_of_a_login_is_used_unless_another_is_given() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("token"), "from-login\n").unwrap();
        let home = home.path().to_str().unwrap();
        assert_eq!(access(&[("HF_HOME", home)]).token.as_deref(), Some("from-login"));
        assert_eq!(access(&[("HF_HOME", home), ("HF_TOKEN", "given")]).token.as_deref(), Some("given"));
    }

    #[test]
    fn the_token_is_not_shown() {
        let shown = format!("{:?}", access(&[("HOME", "/h"), ("HF_TOKEN", "hf_secret")]));
        assert!(!shown.contains("secret"), "{shown}");
    }

    #[test]
    fn an_endpoint_ends_without_a_slash() {
        let access = access(&[("HF_ENDPOINT", "http://mirror.example/")]);
        assert_eq!(access.endpoint.as_deref(), Some("http://mirror.example"));
    }
}
