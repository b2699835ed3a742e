//! Repositories of the Hub: download, resumption, checks and refusals.

use std::fs;

use gibbon::config::ModelSource;
use gibbon::model::hub::{self, HubError, ModelFiles, PullEvent};

use super::server::{Fault, Server, sha256};
use super::{REPOSITORY, Setup, gguf, last_bytes, warnings};

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
