//! Questions to the Hub that come before a download: which files there are, how large, with which hash, and whether
//! we may have them. Every one of them ends within seconds where there is no network.

use std::time::Duration;

use hf_hub::api::RepoInfo;
use hf_hub::api::sync::{Api, ApiBuilder, ApiError};
use ureq::http::{HeaderMap, Uri};

use super::cache::repository_of;
use super::error::{HubError, printable};
use super::selection::{Wanted, is_plain_name};
use crate::config::HubAccess;

const RESOLVE_TIMEOUT: Duration = Duration::from_secs(3);
/// Connecting, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);
/// From the request to the answer's headers.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
const MOST_REDIRECTS: usize = 5;
/// The list of a repository's files.
const MOST_LIST_BYTES: u64 = 16 << 20;

/// The Hub and the repository that is asked about.
pub(super) struct Remote<'a> {
    pub wanted: &'a Wanted,
    pub access: &'a HubAccess,
    pub api: Api,
    agent: ureq::Agent,
}

/// What the Hub says of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RemoteFile {
    pub bytes: u64,
    /// Names the content in the cache.
    pub etag: String,
    /// The commit that the revision stands for.
    pub commit: String,
}

impl RemoteFile {
    /// SHA-256 of the content, which the Hub gives as etag of large files.
    pub fn sha256(&self) -> Option<String> {
        let is_hash = self.etag.len() == 64 && self.etag.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_hash.then(|| self.etag.to_ascii_lowercase())
    }
}

impl<'a> Remote<'a> {
    pub fn new(wanted: &'a Wanted, access: &'a HubAccess) -> Result<Self, HubError> {
        let mut builder = ApiBuilder::from_cache(hf_hub::Cache::new(access.cache.clone()))
            .with_progress(false)
            .with_token(access.token.clone());
        if let Some(endpoint) = &access.endpoint {
            builder = builder.with_endpoint(endpoint.clone());
        }
        let api = builder
            .build()
            .map_err(|error| HubError::Unreachable { reason: printable(&error.to_string(), 300) })?;
        let agent = ureq::Agent::config_builder()
            .timeout_resolve(Some(RESOLVE_TIMEOUT))
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_recv_response(Some(ANSWER_TIMEOUT))
            .max_redirects(0)
            .http_status_as_error(false)
            // A compressed answer would have another length than the file.
            .accept_encoding("identity")
            .user_agent(concat!("gibbon/", env!("CARGO_PKG_VERSION")))
            .build()
            .into();
        Ok(Self { wanted, access, api, agent })
    }

    /// The paths of the repository's files.
    pub fn list_files(&self) -> Result<Vec<String>, HubError> {
        let request = self.api.repo(repository_of(self.wanted)).info_request();
        let mut answer = request
            .config()
            .timeout_resolve(Some(RESOLVE_TIMEOUT))
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_recv_response(Some(ANSWER_TIMEOUT))
            .timeout_recv_body(Some(ANSWER_TIMEOUT))
            .http_status_as_error(false)
            .build()
            .call()
            .map_err(|error| self.unreachable(&error))?;
        let what = &self.wanted.repository;
        if !answer.status().is_success() {
            return Err(self.refusal(answer.status().as_u16(), answer.headers(), what));
        }
        let info: RepoInfo =
            answer.body_mut().with_config().limit(MOST_LIST_BYTES).read_json().map_err(|error| {
                HubError::UnexpectedAnswer { what: what.clone(), reason: printable(&error.to_string(), 300) }
            })?;
        Ok(info.siblings.into_iter().map(|sibling| sibling.rfilename).collect())
    }

    /// Size, hash and commit of a file.
    pub fn file(&self, file: &str) -> Result<RemoteFile, HubError> {
        let mut address = self.api.repo(repository_of(self.wanted)).url(file);
        for _ in 0..MOST_REDIRECTS {
            let mut request = self.agent.head(&address);
            if let Some(token) = &self.access.token {
                request = request.header("Authorization", format!("Bearer {token}"));
            }
            let answer = request.call().map_err(|error| self.unreachable(&error))?;
            let status = answer.status();
            if !status.is_success() && !status.is_redirection() {
                return Err(self.refusal(status.as_u16(), answer.headers(), file));
            }
            // A repository that was renamed redirects within the Hub; content is redirected to another host, and
            // the Hub's own answer says what there is to know of it.
            match redirect_within_host(&address, answer.headers()) {
                Some(next) if status.is_redirection() => address = next,
                _ => return describe(answer.headers(), status.is_success(), file),
            }
        }
        Err(unexpected(file, "it redirects in a circle"))
    }

    fn unreachable(&self, error: &ureq::Error) -> HubError {
        let reason = printable(&error.to_string(), 300);
        match &self.access.endpoint {
            Some(endpoint) => HubError::Unreachable { reason: format!("{endpoint}: {reason}") },
            None => HubError::Unreachable { reason },
        }
    }

    /// The error for an answer that is neither the file nor a redirect. The Hub explains in a header of its own.
    fn refusal(&self, status: u16, headers: &HeaderMap, file: &str) -> HubError {
        let repository = self.wanted.repository.clone();
        let code = header(headers, "x-error-code").unwrap_or_default();
        match (status, code.as_str()) {
            (_, "RevisionNotFound") => {
                HubError::NoSuchRevision { repository, revision: self.wanted.revision.clone() }
            }
            (_, "EntryNotFound") => HubError::NoSuchFile { repository, file: file.to_owned() },
            (_, "RepoNotFound") => HubError::NoSuchRepository { repository },
            (401 | 403, _) => HubError::Unauthorized { repository, token_sent: self.access.token.is_some() },
            (404, _) if file == self.wanted.repository => HubError::NoSuchRepository { repository },
            (404, _) => HubError::NoSuchFile { repository, file: file.to_owned() },
            _ => unexpected(file, &format!("status {status}")),
        }
    }

    /// The error for a download that `hf-hub` gave up.
    pub fn download_error(&self, error: ApiError, file: &str) -> HubError {
        let interrupted =
            |reason: String| HubError::Interrupted { file: file.to_owned(), reason: printable(&reason, 300) };
        match error {
            ApiError::RequestError(error) => match *error {
                ureq::Error::StatusCode(status @ (401 | 403 | 404)) => {
                    self.refusal(status, &HeaderMap::new(), file)
                }
                other => interrupted(other.to_string()),
            },
            ApiError::IoError(error) => match error.kind() {
                std::io::ErrorKind::StorageFull
                | std::io::ErrorKind::QuotaExceeded
                | std::io::ErrorKind::PermissionDenied
                | std::io::ErrorKind::ReadOnlyFilesystem => HubError::storage(&self.access.cache, error),
                _ => interrupted(error.to_string()),
            },
            ApiError::LockAcquisition(_) => HubError::Busy { file: file.to_owned() },
            ApiError::MissingHeader(_) | ApiError::InvalidHeader(_) => unexpected(file, &error.to_string()),
            other => interrupted(other.to_string()),
        }
    }
}

fn unexpected(what: &str, reason: &str) -> HubError {
    HubError::UnexpectedAnswer { what: printable(what, 300), reason: printable(reason, 300) }
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

/// The address that a redirect without a host leads to.
fn redirect_within_host(address: &str, headers: &HeaderMap) -> Option<String> {
    let path = header(headers, "location").filter(|path| path.starts_with('/') && !path.starts_with("//"))?;
    let uri: Uri = address.parse().ok()?;
    Some(format!("{}://{}{path}", uri.scheme_str()?, uri.authority()?))
}

fn describe(headers: &HeaderMap, has_length: bool, file: &str) -> Result<RemoteFile, HubError> {
    let length = || header(headers, "content-length").filter(|_| has_length);
    let bytes = header(headers, "x-linked-size")
        .or_else(length)
        .and_then(|bytes| bytes.parse().ok())
        .ok_or_else(|| unexpected(file, "its size is not given"))?;
    // Both become names of files in the cache. The quotes go as `hf-hub` removes them.
    let name = |value: Option<String>, what: &str| {
        let value = value.map(|value| value.replace('"', "")).filter(|value| is_plain_name(value));
        value.ok_or_else(|| unexpected(file, &format!("its {what} is missing or malformed")))
    };
    let etag = header(headers, "x-linked-etag").or_else(|| header(headers, "etag"));
    Ok(RemoteFile {
        bytes,
        etag: name(etag, "etag")?,
        commit: name(header(headers, "x-repo-commit"), "commit")?,
    })
}
