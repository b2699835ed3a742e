//! The engine as front ends use it: commands in, events out, on the default model.

mod indexing;
mod questions;

use std::{
    fs,
    path::{Path, PathBuf},
};

use gibbon::{
    config::{Config, ModelSource, Paths},
    engine::{
        Answer, AskRequest, CatalogueQuery, CatalogueReply, CatalogueRequest, Command, Engine, Event,
        Failure, IndexReport, IndexRequest, Outcome, RequestId, Status,
    },
};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::support::default_model;

const DOCUMENTS: [(&str, &str); 3] = [
    ("boiler.md", BOILER),
    (
        "garden/tools.md",
        "# Tools\n\nThe hedge shears are sharpened on the first Saturday of May with the grey whetstone, at an angle \
         of twenty degrees. In winter they hang in the shed, wrapped in a cloth.\n",
    ),
    ("keys.md", "# Keys\n\nThe cellar key hangs behind the blue door. The spare key is with Ms Okafor.\n"),
];

const BOILER: &str = "# Boiler\n\nThe boiler stands in the cellar, to the left of the stairs, and heats the water \
    for the whole house. It is twelve years old and takes up about as much room as a wardrobe.\n\n## Pressure\n\nThe \
    safety valve of the boiler opens at 7 bar. Below 1 bar the boiler switches itself off, and the red lamp beside \
    the gauge lights up until somebody fills it again with the short hose from the laundry.\n\n## Care\n\nThe boiler \
    is swept in March and in October by the company Lindqvist, who also replace the anode. The bill goes to the \
    housing association, which shares it among the flats by the number of rooms.\n";

/// Found in the piece about the boiler's pressure.
const QUESTION: &str = "At what pressure does the safety valve of the boiler open?";

/// An engine over a folder of its own, and what it has told.
struct Running {
    engine: Option<Engine>,
    events: UnboundedReceiver<Event>,
    folder: tempfile::TempDir,
    /// Everything told so far.
    told: Vec<Event>,
}

impl Running {
    /// With the documents in place and nothing indexed.
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in DOCUMENTS {
            let path = folder.path().join("documents").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let (engine, events) = Engine::start(config(folder.path()));
        Self { engine: Some(engine), events, folder, told: Vec::new() }
    }

    fn indexed() -> Self {
        let mut running = Self::start();
        let report = running.index(true);
        assert_eq!((report.files_added, report.issues.len()), (3, 0), "{report:?}");
        running
    }

    fn document(&self, name: &str) -> PathBuf {
        fs::canonicalize(self.folder.path()).unwrap().join("documents").join(name)
    }

    fn engine(&self) -> &Engine {
        self.engine.as_ref().expect("it runs until it is stopped")
    }

    /// Hands a command over under a new id.
    fn send(&self, command: Command) -> RequestId {
        let id = self.engine().next_request();
        self.engine().send(command.with_id(id));
        id
    }

    /// The next event that `wanted` takes something from; what comes before is kept in `told`.
    fn wait_for<T>(&mut self, mut wanted: impl FnMut(&Event) -> Option<T>) -> T {
        loop {
            let event = self.events.blocking_recv().expect("the engine runs");
            let found = wanted(&event);
            let failed = matches!(event, Event::Failed { .. });
            self.told.push(event);
            if let Some(found) = found {
                return found;
            }
            assert!(!failed, "what was waited for cannot come any more: {:?}", self.told.last());
        }
    }

    fn end_of(&mut self, wanted: RequestId) -> Result<Outcome, Failure> {
        self.wait_for(|event| match event {
            Event::Done { id, outcome } if *id == wanted => Some(Ok(outcome.clone())),
            Event::Failed { id, failure } if *id == wanted => Some(Err(failure.clone())),
            _ => None,
        })
    }

    fn index_request(&self, encode: bool) -> Command {
        let add = vec![self.folder.path().join("documents")];
        Command::Index(IndexRequest { add, encode, ..IndexRequest::default() })
    }

    fn index(&mut self, encode: bool) -> IndexReport {
        let id = self.send(self.index_request(encode));
        self.report_of(id)
    }

    fn report_of(&mut self, id: RequestId) -> IndexReport {
        match self.end_of(id) {
            Ok(Outcome::Indexed(report)) => report,
            other => panic!("no report: {other:?}"),
        }
    }

    fn ask(&mut self, request: AskRequest) -> Result<Answer, Failure> {
        let request = AskRequest {
            chunks: request.chunks.or(Some(2)),
            max_tokens: request.max_tokens.or(Some(4)),
            ..request
        };
        let id = self.send(Command::Ask(request));
        match self.end_of(id)? {
            Outcome::Answer(answer) => Ok(answer),
            other => panic!("no answer: {other:?}"),
        }
    }

    fn look_up(&mut self, query: CatalogueQuery) -> Result<CatalogueReply, Failure> {
        let id = self.send(Command::Catalogue(CatalogueRequest { id: RequestId(0), query }));
        match self.end_of(id)? {
            Outcome::Catalogue(reply) => Ok(reply),
            other => panic!("nothing of the catalogue: {other:?}"),
        }
    }

    fn warnings<'a>(&'a self) -> Vec<&'a str> {
        let warning = |event: &'a Event| match event {
            Event::Warning { message, .. } => Some(message.as_str()),
            _ => None,
        };
        self.told.iter().filter_map(warning).collect()
    }

    /// The engine's state as it was last told.
    fn status(&self) -> Status {
        let status = self.told.iter().rev().find_map(|event| match event {
            Event::Ready(status) => Some(status.clone()),
            _ => None,
        });
        status.expect("the engine is ready")
    }
}

fn config(home: &Path) -> Config {
    let paths = Paths { config_file: "".into(), data: home.join("data"), state: home.join("state") };
    let mut config = Config::with_paths(paths);
    config.model.source = ModelSource::Path(default_model());
    config.model.offline = true;
    config.corpus.chunk_tokens = 96;
    config
}

/// The labels of an answer's sources, by rank.
fn labels(answer: &Answer) -> Vec<&str> {
    answer.sources.iter().map(|chunk| chunk.label.as_str()).collect()
}
