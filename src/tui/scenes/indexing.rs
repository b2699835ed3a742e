//! Indexing, in its view and beside the chat.

use crossterm::event::KeyCode;

use super::{
    Scene, Stage,
    chat::{empty, streaming},
    data::index_report,
};
use crate::{
    engine::{
        CatalogueReply, EncodeEstimate, Event, Failure, FailureKind, FileIssue, FileListing, Hold,
        IndexPhase, IndexedFile, Outcome, Progress, RequestId, Unit,
    },
    tui::app::What,
};

#[rustfmt::skip]
pub const SCENES: &[Scene] = &[
    Scene { name: "indexing", description: "A folder is being indexed while the chat goes on.", build: indexing },
    Scene { name: "indexed", description: "A folder was indexed; one file was left out.", build: indexed },
    Scene { name: "indexing_view", description: "The view of the indexing while chunks are encoded.", build: encoding },
    Scene { name: "indexing_empty", description: "The view of the indexing before anything is indexed.", build: nothing },
    Scene { name: "indexing_reading", description: "Files are read; some are left out.", build: reading },
    Scene { name: "indexing_splitting", description: "What was read is being split into chunks.", build: splitting },
    Scene { name: "indexing_estimate", description: "What encoding will take, before it begins; the budget is too small.", build: estimated },
    Scene { name: "indexing_paused", description: "Indexing is paused.", build: paused },
    Scene { name: "indexing_gives_way", description: "Indexing gives way to a question.", build: gives_way },
    Scene { name: "indexing_done", description: "The report of an index run.", build: done },
    Scene { name: "indexing_failed", description: "An index run that could not go on.", build: failed },
    Scene { name: "indexing_left_out", description: "Files that were left out and why.", build: left_out },
    Scene { name: "indexing_add", description: "The path of a folder is typed, with completion.", build: add },
    Scene { name: "indexing_forget", description: "Whether to take a folder out of the index.", build: forget },
];

fn indexing(stage: &mut Stage) {
    empty(stage);
    stage.send("/index notes");
    report(stage, IndexPhase::Encode, (117, 260), Unit::Chunks);
}

fn indexed(stage: &mut Stage) {
    indexing(stage);
    stage.engine(Event::Done { id: stage.id(), outcome: Outcome::Indexed(index_report()) });
}

/// The view with two folders.
fn folders(stage: &mut Stage) {
    empty(stage);
    stage.press(KeyCode::F(4));
    let root = "/home/ada/observatory";
    let file = |name: &str, chunks| IndexedFile { path: name.into(), name: name.to_owned(), chunks };
    let mut files: Vec<_> = (0..11).map(|number| file(&format!("{root}/handbook/{number}.md"), 5)).collect();
    files.push(file("/home/ada/dome-manual.pdf", 8));
    let roots = vec![root.into(), "/home/ada/dome-manual.pdf".into()];
    let reply = CatalogueReply::Files(FileListing::new(&roots, files));
    stage.engine(Event::Done { id: stage.id(), outcome: Outcome::Catalogue(reply) });
}

fn nothing(stage: &mut Stage) {
    super::all().find(|scene| scene.name == "first_run").into_iter().for_each(|scene| (scene.build)(stage));
    stage.press(KeyCode::F(4));
    let reply = CatalogueReply::Files(FileListing::default());
    stage.engine(Event::Done { id: stage.id(), outcome: Outcome::Catalogue(reply) });
}

/// A folder is added; all of its files are found. The answer is the run's id.
fn added(stage: &mut Stage) -> RequestId {
    folders(stage);
    stage.press(KeyCode::Char('a'));
    stage.send("~/notes");
    let id = stage.id();
    stage.wait(40);
    report(stage, IndexPhase::Walk, (314, 314), Unit::Files);
    id
}

fn reading(stage: &mut Stage) {
    let id = added(stage);
    for step in 0..=8_u64 {
        stage.wait(250);
        report_on(stage, id, Progress { done: step * 20, ..progress(IndexPhase::Read, 314, Unit::Files) });
        if step % 4 == 0 {
            stage.engine(Event::LeftOut { id, issue: issue(step as usize) });
        }
    }
}

fn splitting(stage: &mut Stage) {
    let id = read(stage);
    for step in 0..=6_u64 {
        stage.wait(300);
        report_on(stage, id, Progress { done: step * 35, ..progress(IndexPhase::Split, 312, Unit::Files) });
    }
}

fn read(stage: &mut Stage) -> RequestId {
    let id = added(stage);
    stage.wait(900);
    report_on(stage, id, Progress { done: 314, ..progress(IndexPhase::Read, 314, Unit::Files) });
    (0..2).for_each(|number| stage.engine(Event::LeftOut { id, issue: issue(number) }));
    id
}

/// All is indexed and the encoding is about to begin.
fn indexed_all(stage: &mut Stage, free_bytes: u64) -> RequestId {
    let id = read(stage);
    for phase in [IndexPhase::Split, IndexPhase::Index] {
        stage.wait(400);
        report_on(stage, id, Progress { done: 312, ..progress(phase, 312, Unit::Files) });
    }
    let estimate = EncodeEstimate {
        chunks: 260,
        tokens: 91_300,
        bytes: 2_000_000_000,
        free_bytes,
        seconds: Some(169.0),
    };
    stage.engine(Event::Estimated { id, estimate });
    id
}

fn estimated(stage: &mut Stage) {
    let id = indexed_all(stage, 800_000_000);
    report_on(stage, id, progress(IndexPhase::Encode, 91_300, Unit::Tokens));
}

/// 540 tokens a second for ten seconds.
fn encoded_some(stage: &mut Stage) -> RequestId {
    let id = indexed_all(stage, 19_298_000_000);
    for step in 0..=20_u64 {
        report_on(stage, id, encoded(step * 270));
        stage.wait(500);
    }
    id
}

fn encoded(done: u64) -> Progress {
    let cache_bytes = 702_000_000 + done * 21_900;
    Progress { done, cache_bytes, ..progress(IndexPhase::Encode, 91_300, Unit::Tokens) }
}

fn encoding(stage: &mut Stage) {
    encoded_some(stage);
}

fn paused(stage: &mut Stage) {
    let id = encoded_some(stage);
    stage.press(KeyCode::Char('p'));
    report_on(stage, id, Progress { hold: Some(Hold::Paused), ..encoded(5400) });
    stage.wait(3000);
}

/// The question was asked in the chat; the view is looked at while it is answered.
fn gives_way(stage: &mut Stage) {
    let id = encoded_some(stage);
    stage.press(KeyCode::F(2));
    streaming(stage);
    report_on(stage, id, Progress { hold: Some(Hold::Question), ..encoded(5400) });
    stage.press(KeyCode::F(4));
}

fn done(stage: &mut Stage) {
    let id = encoded_some(stage);
    let mut report = index_report();
    report.chunks_left = 0;
    report.tokens_encoded = 91_300;
    report.cache_bytes = 2_702_000_000;
    report.issues = (0..2).map(issue).collect();
    stage.wait(74_200);
    report_on(stage, id, encoded(91_300));
    stage.engine(Event::Done { id, outcome: Outcome::Indexed(report) });
}

fn failed(stage: &mut Stage) {
    let id = encoded_some(stage);
    let failure = Failure {
        kind: FailureKind::Storage,
        message: "The disk is full.".to_owned(),
        hint: Some("Make room, then index again: it goes on where it was.".to_owned()),
    };
    stage.engine(Event::Failed { id, failure });
}

fn left_out(stage: &mut Stage) {
    let id = added(stage);
    (0..40).for_each(|number| stage.engine(Event::LeftOut { id, issue: issue(number) }));
    stage.press(KeyCode::PageDown);
}

fn add(stage: &mut Stage) {
    folders(stage);
    stage.press(KeyCode::Char('a'));
    stage.type_text("~/no");
    stage.press(KeyCode::Tab);
    let found = ["~/notebooks/", "~/notes/", "~/novels/"].map(str::to_owned).to_vec();
    stage.tell(What::Folders { typed: "~/no".to_owned(), found });
    stage.press(KeyCode::Tab);
    stage.press(KeyCode::Tab);
}

fn forget(stage: &mut Stage) {
    folders(stage);
    stage.press(KeyCode::Down);
    stage.press(KeyCode::Char('d'));
}

fn issue(number: usize) -> FileIssue {
    let (name, reason) = [
        ("scans/shutter.pdf", "no text in it: it may be a scan"),
        ("photos/dome-at-night.png", "not text"),
        ("old/日誌.txt", "not UTF-8, and no other encoding fits"),
        ("data/frames.csv", "larger than 16 MiB"),
    ][number % 4];
    FileIssue { path: format!("/home/ada/notes/{name}").into(), reason: reason.to_owned() }
}

fn progress(phase: IndexPhase, total: u64, unit: Unit) -> Progress {
    Progress { phase, done: 0, total, unit, cache_bytes: 702_000_000, hold: None }
}

/// Tells how far the run of the last request has come: so many of so many.
fn report(stage: &mut Stage, phase: IndexPhase, (done, total): (u64, u64), unit: Unit) {
    report_on(stage, stage.id(), Progress { done, cache_bytes: 0, ..progress(phase, total, unit) });
}

fn report_on(stage: &mut Stage, id: RequestId, progress: Progress) {
    stage.engine(Event::Progress { id, progress });
}
