//! What is fed, and with what to begin.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use candle_core::{
    Device, Tensor,
    quantized::{GgmlDType, QTensor, gguf_file},
};
use gibbon::{
    config::{CacheDtype, Config, CorpusSettings, Environment, Overrides, StoreSettings},
    corpus::{ChunkId, FileEntry, read::read, split::split},
    model::{Model, kv::Recorder},
    store::{
        Store, StoreTarget,
        format::KvLayout,
        key::{Fingerprint, SegmentId},
    },
    tui::keymap::Keymap,
};

type Run = Box<dyn Fn(&[u8]) -> bool>;

/// Something that reads input.
pub struct Target {
    pub name: &'static str,
    seeds: fn(&str) -> Vec<Vec<u8>>,
    /// Whether the input was read; false where it was refused.
    pub run: Run,
}

impl Target {
    /// Inputs to begin with: what was found before, then good ones.
    pub fn seeds(&self) -> Vec<Vec<u8>> {
        let mut seeds = files_in(&data("fuzz").join(self.name), &|_| true);
        seeds.extend((self.seeds)(self.name));
        seeds
    }
}

/// Names of readers and the ends of the files' names that they read.
const READERS: &[(&str, &str)] = &[
    ("text", "txt"),
    ("markdown", "md"),
    ("html", "html"),
    ("rst", "rst"),
    ("org", "org"),
    ("json", "json"),
    ("yaml", "yaml"),
    ("toml", "toml"),
    ("csv", "csv"),
    ("notebook", "ipynb"),
    ("mail", "eml"),
    ("mbox", "mbox"),
    ("man", "1"),
    ("pdf", "pdf"),
    ("docx", "docx"),
    ("pptx", "pptx"),
    ("xlsx", "xlsx"),
    ("ods", "ods"),
    ("epub", "epub"),
    ("gzip", "md.gz"),
    ("rust", "rs"),
    ("python", "py"),
    ("javascript", "js"),
    ("typescript", "ts"),
    ("c", "c"),
    ("cpp", "cpp"),
    ("csharp", "cs"),
    ("java", "java"),
    ("kotlin", "kt"),
    ("go", "go"),
    ("ruby", "rb"),
    ("php", "php"),
    ("bash", "sh"),
    ("lua", "lua"),
    ("scala", "scala"),
    ("elixir", "ex"),
    ("zig", "zig"),
];

/// The target of this name.
pub fn target(name: &str) -> Target {
    all().into_iter().find(|target| target.name == name).expect("a target of this name")
}

fn all() -> Vec<Target> {
    let mut targets: Vec<Target> = READERS
        .iter()
        .map(|&(name, end)| Target {
            name,
            seeds: documents,
            run: Box::new(move |input| read_document(end, input)),
        })
        .collect();
    targets.push(Target { name: "cache-header", seeds: |_| vec![cache_file()], run: Box::new(load_cache) });
    targets.push(Target { name: "gguf", seeds: |_| vec![gguf()], run: Box::new(load_gguf) });
    targets.push(Target {
        name: "safetensors",
        seeds: |_| family("model.safetensors"),
        run: Box::new(|input| load_family("model.safetensors", input)),
    });
    targets.push(Target {
        name: "model-config",
        seeds: |_| family("config.json"),
        run: Box::new(|input| load_family("config.json", input)),
    });
    targets.push(Target { name: "config", seeds: configurations, run: Box::new(resolve) });
    targets.push(Target { name: "keys", seeds: key_tables, run: Box::new(bind_keys) });
    targets
}

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

thread_local! {
    /// A folder for what has to be a file, of each test its own; in memory where there is such a place.
    static SCRATCH: tempfile::TempDir =
        tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder can be made");
}

fn scratch() -> PathBuf {
    SCRATCH.with(|folder| folder.path().to_owned())
}

fn files_in(folder: &Path, wanted: &dyn Fn(&Path) -> bool) -> Vec<Vec<u8>> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths
        .iter()
        .filter(|path| path.is_file() && wanted(path))
        .filter_map(|path| fs::read(path).ok())
        .collect()
}

/// Documents of the kind, from wherever the source tree has some.
fn documents(name: &str) -> Vec<Vec<u8>> {
    let end = READERS.iter().find(|(reader, _)| *reader == name).map_or("", |(_, end)| end);
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let ends = |path: &Path| path.to_string_lossy().ends_with(&format!(".{end}"));
    let folders = [data("formats"), root.join("sample_corpus"), root.join("benches"), root.join("src/model")];
    let mut found: Vec<Vec<u8>> = folders.iter().flat_map(|folder| files_in(folder, &ends)).collect();
    found.extend(
        SAMPLES.iter().filter(|(sample, _)| *sample == name).map(|(_, text)| text.as_bytes().to_vec()),
    );
    if name == "gzip" {
        use std::io::Write;
        let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        writer.write_all(b"# Title\n\nText of a page.\n").expect("memory takes it");
        found.push(writer.finish().expect("memory takes it"));
    }
    if found.is_empty() {
        found.push(b"# A title\n\nfn main() { let x = \"text\"; }\n".to_vec());
    }
    found
}

const SAMPLES: &[(&str, &str)] = &[
    ("text", "A line.\n\nAnother one, with \u{5929}\u{6587}\u{53f0} in it.\n"),
    ("rst", "Title\n=====\n\nText.\n\nPart\n----\n\n.. note:: more\n"),
    ("org", "#+TITLE: Dome\n* One\ntext\n** Two\n:PROPERTIES:\n:END:\n- item\n"),
    ("json", "{\"a\": [1, 2, {\"b\": null}], \"c\": \"d\"}\n"),
    ("yaml", "a:\n  - b\n  - c: d\ne: |\n  text\n"),
    ("toml", "[a]\nb = 1\n[[c]]\nd = \"e\"\n"),
    ("csv", "name,price\n\"a, b\",1\nc,2\n"),
    (
        "notebook",
        "{\"cells\": [{\"cell_type\": \"markdown\", \"source\": [\"# A\\n\", \"b\"]}, {\"cell_type\": \"code\", \
      \"source\": \"x = 1\", \"outputs\": [{\"output_type\": \"stream\", \"text\": [\"1\"]}]}], \"metadata\": {}, \"nbformat\": 4}",
    ),
    (
        "mail",
        "From: a@b.c\nTo: d@e.f\nSubject: =?utf-8?q?A=C3=A9?=\nMIME-Version: 1.0\nContent-Type: multipart/mixed; \
      boundary=x\n\n--x\nContent-Type: text/html\n\n<p>Hello</p>\n--x\nContent-Type: text/plain\nContent-Transfer-Encoding: \
      base64\n\nSGVsbG8=\n--x--\n",
    ),
    (
        "mbox",
        "From a@b Mon Jan  1 00:00:00 2024\nSubject: One\n\nText\n\nFrom c@d Mon Jan  1 00:00:00 2024\nSubject: Two\n\nMore\n",
    ),
    (
        "man",
        ".TH DOME 1\n.SH NAME\ndome \\- a \\fBroof\\fR\n.SS Options\n.TP\n.B \\-x\nText\n.\\\" comment\n.nf\ncode\n.fi\n",
    ),
    ("html", "<!doctype html><title>T</title><h1>A</h1><p>b<table><tr><td>c</table><pre>d</pre>"),
    ("javascript", "export class A { b() { return 1 } }\nfunction c() {}\n"),
    ("typescript", "interface A { b: string }\nexport function c<T>(d: T): T { return d }\n"),
    ("c", "struct a { int b; };\nint main(void) { return 0; }\n"),
    ("cpp", "namespace a { class B { int c() { return 1; } }; }\n"),
    ("csharp", "namespace A { class B { int C() => 1; } }\n"),
    ("java", "class A { int b() { return 1; } }\n"),
    ("kotlin", "class A { fun b() = 1 }\n"),
    ("go", "package a\nfunc B() {}\ntype C struct{}\n"),
    ("ruby", "module A\n class B\n  def c; end\n end\nend\n"),
    ("php", "<?php class A { function b() { return 1; } }\n"),
    ("bash", "a() { echo b; }\n"),
    ("lua", "function a() return 1 end\n"),
    ("scala", "object A { def b = 1 }\n"),
    ("elixir", "defmodule A do\n def b, do: 1\nend\n"),
    ("zig", "pub fn a() void {}\n"),
    ("python", "class A:\n    def b(self):\n        return 1\n"),
    ("rust", "struct A;\nimpl A { fn b() {} }\n"),
];

/// Reads and cuts, as an index run does.
fn read_document(end: &str, input: &[u8]) -> bool {
    let name = format!("input.{end}");
    let path = scratch().join(&name);
    fs::write(&path, input).expect("the folder can be written");
    let entry = FileEntry { path, relative: name.into(), bytes: input.len() as u64 };
    let settings = CorpusSettings { chunk_tokens: 96, max_file_bytes: 64 << 20, reader_program: None };
    let Ok(document) = read(&entry, &settings) else { return false };
    let words = |text: &str| text.split_whitespace().count();
    let chunks = split(&document, settings.chunk_tokens, &words);
    let mut end = 0;
    for chunk in &chunks {
        assert_eq!(chunk.span.start, end, "spans follow each other");
        end = chunk.span.end;
        assert!(!chunk.label.contains(char::is_control), "{:?}", chunk.label);
    }
    assert!(chunks.is_empty() || end == document.text.len(), "spans cover the text");
    true
}

const LAYOUT: KvLayout =
    KvLayout { layers: 2, kv_heads: 1, head_dim: 8, dtype: CacheDtype::F16, max_tokens: 64 };

fn cache_id() -> SegmentId {
    SegmentId::Chunk(ChunkId::of("a chunk"))
}

fn store() -> (PathBuf, Store) {
    let folder = scratch().join("store");
    let settings = StoreSettings { disk_bytes: 1 << 30, memory_bytes: 0, gpu_memory_bytes: 0 };
    let fingerprint = Fingerprint::from_hex(&"ab".repeat(32)).expect("64 digits");
    let target = StoreTarget { fingerprint, layout: LAYOUT, model: "a model".into() };
    let store = Store::open(&folder, &settings, target).expect("the folder can be written");
    (folder, store)
}

fn cache_path() -> (PathBuf, Store) {
    let (folder, store) = store();
    let (shape, tokens) = (LAYOUT.shape(5), 5);
    let mut recorder = Recorder::new(shape, LAYOUT.dtype);
    let zeros = vec![0.0; tokens * LAYOUT.kv_heads * LAYOUT.head_dim];
    (0..LAYOUT.layers).for_each(|_| recorder.push(&zeros, &zeros));
    store.put(cache_id(), Arc::new(recorder.finish())).expect("there is room");
    let mut folders = vec![folder.join("kv")];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).into_iter().flatten().flatten() {
            let path = entry.path();
            match path.is_dir() {
                true => folders.push(path),
                false if path.extension().is_some_and(|end| end == "safetensors") => return (path, store),
                false => {}
            }
        }
    }
    panic!("the store has written a file");
}

fn cache_file() -> Vec<u8> {
    fs::read(cache_path().0).expect("it has just been written")
}

fn load_cache(input: &[u8]) -> bool {
    thread_local! {
        static STORE: (PathBuf, Store) = cache_path();
    }
    STORE.with(|(path, store)| {
        fs::write(path, input).expect("the folder can be written");
        store.load(cache_id()).is_ok()
    })
}

/// A model of two layers with everything that a GGUF file needs.
fn gguf() -> Vec<u8> {
    use gguf_file::Value;
    let (hidden, feed_forward, vocabulary) = (32usize, 64usize, 300usize);
    let names = ["t", "1", "2"].map(str::to_owned).into_iter().chain((1..).map(|token| format!("t{token}")));
    let tokens: Vec<Value> = names.take(vocabulary).map(Value::String).collect();
    let texts =
        |texts: &[&str]| Value::Array(texts.iter().map(|text| Value::String((*text).into())).collect());
    let metadata = [
        ("general.architecture", Value::String("llama".into())),
        ("llama.block_count", Value::U32(2)),
        ("llama.context_length", Value::U32(128)),
        ("llama.embedding_length", Value::U32(hidden as u32)),
        ("llama.feed_forward_length", Value::U32(feed_forward as u32)),
        ("llama.attention.head_count", Value::U32(4)),
        ("llama.attention.head_count_kv", Value::U32(2)),
        ("llama.rope.dimension_count", Value::U32(8)),
        ("llama.attention.layer_norm_rms_epsilon", Value::F32(1e-5)),
        ("tokenizer.ggml.model", Value::String("gpt2".into())),
        ("tokenizer.ggml.pre", Value::String("smollm".into())),
        ("tokenizer.ggml.tokens", Value::Array(tokens)),
        ("tokenizer.ggml.merges", texts(&["t 1", "t 2"])),
        ("tokenizer.ggml.bos_token_id", Value::U32(1)),
        ("tokenizer.ggml.eos_token_id", Value::U32(2)),
        (
            "tokenizer.chat_template",
            Value::String("{% for m in messages %}{{ m.content }}{% endfor %}".into()),
        ),
    ];
    let mut tensors: Vec<(String, Vec<usize>)> = vec![
        ("token_embd.weight".into(), vec![vocabulary, hidden]),
        ("output_norm.weight".into(), vec![hidden]),
    ];
    for layer in 0..2 {
        let shapes: [(&str, &[usize]); 9] = [
            ("attn_norm", &[hidden]),
            ("ffn_norm", &[hidden]),
            ("attn_q", &[hidden, hidden]),
            ("attn_k", &[16, hidden]),
            ("attn_v", &[16, hidden]),
            ("attn_output", &[hidden, hidden]),
            ("ffn_gate", &[feed_forward, hidden]),
            ("ffn_up", &[feed_forward, hidden]),
            ("ffn_down", &[hidden, feed_forward]),
        ];
        tensors.extend(shapes.map(|(name, shape)| (format!("blk.{layer}.{name}.weight"), shape.to_vec())));
    }
    let tensors: Vec<(String, QTensor)> = tensors
        .into_iter()
        .map(|(name, shape)| {
            let zeros = Tensor::zeros(shape, candle_core::DType::F32, &Device::Cpu).expect("a small tensor");
            (name, QTensor::quantize(&zeros, GgmlDType::F32).expect("a small tensor"))
        })
        .collect();
    let mut file = std::io::Cursor::new(Vec::new());
    let metadata: Vec<(&str, &Value)> = metadata.iter().map(|(name, value)| (*name, value)).collect();
    let tensors: Vec<(&str, &QTensor)> =
        tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    gguf_file::write(&mut file, &metadata, &tensors).expect("memory takes it");
    file.into_inner()
}

fn load_gguf(input: &[u8]) -> bool {
    let path = scratch().join("input.gguf");
    fs::write(&path, input).expect("the folder can be written");
    Model::from_gguf(&path, false, "Answer.", &mut |_, _| false).is_ok()
}

fn family(file: &str) -> Vec<Vec<u8>> {
    fs::read(data("families/llama3").join(file)).into_iter().collect()
}

/// A small model with one of its files replaced.
fn load_family(file: &str, input: &[u8]) -> bool {
    let folder = scratch().join("family");
    if !folder.exists() {
        fs::create_dir(&folder).expect("the folder can be written");
        for entry in fs::read_dir(data("families/llama3")).expect("it is part of the sources").flatten() {
            fs::copy(entry.path(), folder.join(entry.file_name())).expect("the folder can be written");
        }
    }
    let (path, good) = (folder.join(file), data("families/llama3").join(file));
    fs::write(&path, input).expect("the folder can be written");
    let read = gibbon::model::load_directory(&folder).is_ok();
    fs::copy(good, path).expect("the folder can be written");
    read
}

fn configurations(_: &str) -> Vec<Vec<u8>> {
    let texts = [
        "[model]\nsource = \"a/b\"\n[corpus]\nchunk_tokens = 96\nmax_file_size = \"1MiB\"\n[answer]\nchunks = 5\nstrategy = \
         \"ape\"\ntemperature = 0.5\n[cache]\nbudget = \"20GiB\"\n[screen]\ntheme = \"day\"\n[keys]\nquit = [\"ctrl-q\"]\n",
        "",
    ];
    texts.map(|text| text.as_bytes().to_vec()).to_vec()
}

fn resolved(input: &[u8]) -> Option<Config> {
    let path = scratch().join("config.toml");
    fs::write(&path, input).expect("the folder can be written");
    let overrides = Overrides { config_file: Some(path), ..Overrides::default() };
    let environment = Environment::of_process();
    Config::resolve(&overrides, &environment).ok()
}

fn resolve(input: &[u8]) -> bool {
    resolved(input).is_some()
}

fn key_tables(_: &str) -> Vec<Vec<u8>> {
    let texts = [
        "[keys]\n\"palette.open\" = [\"ctrl-p\", \"f12\"]\n",
        "[keys]\n\"chats.export\" = \"f9\"\n\"comparison.start\" = [\"f10\", \"alt-shift-x\"]\n\"chips.remove\" = []\n",
    ];
    texts.map(|text| text.as_bytes().to_vec()).into()
}

fn bind_keys(input: &[u8]) -> bool {
    resolved(input).is_some_and(|config| Keymap::new(&config.screen.keys).is_ok())
}
