//! The engine against outputs of programs that share no code with it.
//!
//! `GIBBON_GOLDEN_CASES` names another file of the schema of `data/smollm2_cases.json`, and
//! `GIBBON_GOLDEN_FAMILIES` another folder laid out like `data/families`.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use candle_core::Tensor;
use gibbon::{
    config::CacheDtype,
    model::{
        attention::ApeScaling,
        load_directory, load_gguf,
        network::Network,
        session::{Encoder, Placement, Session, encode_prefix},
        tokenizer::Tokenizer,
    },
};
use serde::Deserialize;

use crate::support::{self, EXACT, never};

#[derive(Deserialize)]
struct Cases {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
pub struct Case {
    pub name: String,
    pub mode: String,
    pub temperature: f32,
    pub scale: f32,
    pub prefix: Vec<u32>,
    pub contexts: Vec<Vec<u32>>,
    pub query: Vec<u32>,
    #[serde(default)]
    pub prefix_text: Option<String>,
    #[serde(default)]
    pub context_texts: Vec<String>,
    #[serde(default = "sixteen")]
    pub generate: usize,
    #[serde(default)]
    pub stop: Vec<u32>,
    pub expect: Expect,
}

fn sixteen() -> usize {
    16
}

#[derive(Deserialize)]
pub struct Expect {
    pub top_ids: Vec<u32>,
    pub top_logits: Vec<f32>,
    pub logit_mean: f64,
    pub logit_std: f64,
    pub greedy: Vec<u32>,
}

pub fn cases() -> Vec<Case> {
    let path = std::env::var_os("GIBBON_GOLDEN_CASES")
        .map_or_else(|| support::data("smollm2_cases.json"), PathBuf::from);
    let json = std::fs::read_to_string(&path).expect("the golden cases can be read");
    let cases: Cases = serde_json::from_str(&json).expect("the golden cases have the known schema");
    assert!(!cases.cases.is_empty());
    cases.cases
}

/// A session over the case's context, the query not yet run.
fn session<'a>(network: &'a Network, case: &Case, dtype: CacheDtype) -> Session<'a> {
    if case.mode == "sequential" {
        let mut session = Session::empty(network);
        let tokens: Vec<u32> = case.prefix.iter().chain(case.contexts.iter().flatten()).copied().collect();
        session.prefill(&tokens, &never).expect("the context fits");
        return session;
    }
    assert!(["ape", "parallel"].contains(&case.mode.as_str()), "unknown mode {}", case.mode);
    let prefix =
        Arc::new(encode_prefix(network, &case.prefix, dtype, &never).expect("the prefix is encoded"));
    let mut encoder = Encoder::new(network, prefix.clone());
    let chunks: Vec<_> = case
        .contexts
        .iter()
        .map(|tokens| Arc::new(encoder.encode(tokens, &never).expect("a chunk is encoded")))
        .collect();
    let scaling = ApeScaling { temperature: case.temperature, scale: case.scale };
    Session::with_context(
        network,
        &prefix,
        &chunks,
        Placement::Shared,
        scaling,
        case.query.len(),
        case.generate,
    )
    .expect("the context fits")
}

pub fn argmax(logits: &[f32]) -> u32 {
    let best = logits.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1).then(b.0.cmp(&a.0)));
    best.expect("there are logits").0 as u32
}

fn vector(logits: Tensor) -> Vec<f32> {
    logits.to_vec1().expect("logits are f32")
}

/// Logits after the query, then after every greedy token, with the tokens.
fn run(network: &Network, case: &Case, dtype: CacheDtype) -> (Vec<Vec<f32>>, Vec<u32>) {
    let mut session = session(network, case, dtype);
    session.prefill(&case.query, &never).expect("the query fits");
    let (mut logits, mut greedy) = (Vec::new(), Vec::new());
    for _ in 0..case.generate {
        let now = vector(session.logits().expect("the query has been run"));
        let token = argmax(&now);
        logits.push(now);
        if case.stop.contains(&token) {
            break;
        }
        greedy.push(token);
        session.prefill(&[token], &never).expect("the answer fits");
    }
    (logits, greedy)
}

pub fn check_top(case: &Case, logits: &[f32], tolerance: f32) {
    for (id, expected) in case.expect.top_ids.iter().zip(&case.expect.top_logits) {
        let found = logits[*id as usize];
        assert!(
            (found - expected).abs() <= tolerance,
            "{}: logit of {id} is {found}, expected {expected}",
            case.name
        );
    }
}

/// The ids of our best logits, in the order of `expect`, wherever its neighbours differ by more than `near`.
pub fn check_order(case: &Case, logits: &[f32], near: f32) {
    let mut order: Vec<u32> = (0..logits.len() as u32).collect();
    order.sort_by(|a, b| logits[*b as usize].total_cmp(&logits[*a as usize]));
    let (ids, values) = (&case.expect.top_ids, &case.expect.top_logits);
    let mut start = 0;
    for end in 1..ids.len() {
        if values[end - 1] - values[end] > near {
            let (mut ours, mut theirs) = (order[start..end].to_vec(), ids[start..end].to_vec());
            ours.sort_unstable();
            theirs.sort_unstable();
            assert_eq!(ours, theirs, "{}: ranks {start} to {end}", case.name);
            start = end;
        }
    }
}

/// Weights in f32, nothing rounded: what remains is the order of f32 sums, a few thousandths of a logit over 30
/// layers; the issue allows 0.01.
#[test]
fn exact_weights_agree_with_the_reference() {
    let network = support::exact_network();
    for case in cases() {
        let (logits, greedy) = run(network, &case, EXACT);
        check_top(&case, &logits[0], 0.01);
        check_order(&case, &logits[0], 0.01);
        let count = logits[0].len() as f64;
        let mean = logits[0].iter().map(|x| f64::from(*x)).sum::<f64>() / count;
        let variance = logits[0].iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>() / count;
        assert!((mean - case.expect.logit_mean).abs() <= 0.01, "{}: mean {mean}", case.name);
        assert!((variance.sqrt() - case.expect.logit_std).abs() <= 0.01, "{}: std", case.name);
        assert_eq!(greedy, case.expect.greedy, "{}: greedy continuation", case.name);
    }
}

/// As users run it: weights as the file has them and a cache in f16. Logits move by some hundredths to tenths, so
/// tokens are compared up to the first near tie, two best logits within 0.6.
#[test]
fn quantized_weights_agree_up_to_near_ties() {
    let network = support::quantized_network();
    for case in cases() {
        let (logits, greedy) = run(network, &case, CacheDtype::F16);
        check_top(&case, &logits[0], 0.6);
        for (step, expected) in case.expect.greedy.iter().take(8).enumerate() {
            let mut best = logits[step].clone();
            best.sort_by(|a, b| b.total_cmp(a));
            if best[0] - best[1] <= 0.6 {
                break;
            }
            assert_eq!(greedy.get(step), Some(expected), "{}: token {step} of {greedy:?}", case.name);
        }
    }
}

/// The tokenizer inside the GGUF gives the ids that the reference was given, special tokens and all.
#[test]
fn the_tokenizer_gives_the_references_ids() {
    let (network, content, _) = load_gguf(&support::default_model(), false).expect("the default model loads");
    let tokenizer = Tokenizer::from_gguf(&content, &network.config.stop_tokens).expect("it has a tokenizer");
    for case in cases() {
        if let Some(text) = &case.prefix_text {
            assert_eq!(tokenizer.encode_template(text).unwrap(), case.prefix, "{}", case.name);
        }
        for (text, ids) in case.context_texts.iter().zip(&case.contexts) {
            assert_eq!(&tokenizer.encode_text(text).unwrap(), ids, "{}", case.name);
        }
    }
}

#[derive(Deserialize)]
struct Family {
    prefix: Vec<u32>,
    contexts: Vec<Vec<u32>>,
    query: Vec<u32>,
    full: Vec<f32>,
    parallel: Vec<f32>,
}

/// A tiny model of a family, and what transformers gives of it.
pub struct FamilyCases {
    pub network: Network,
    /// `full`, and `parallel`, with all logits after the query.
    pub cases: [(Case, Vec<f32>); 2],
}

/// The families that there are references for.
pub fn families() -> Vec<FamilyCases> {
    let folder =
        std::env::var_os("GIBBON_GOLDEN_FAMILIES").map_or_else(|| support::data("families"), PathBuf::from);
    let names = ["llama", "llama3", "mistral", "qwen2", "qwen3"];
    let there: Vec<&str> = names.into_iter().filter(|name| folder.join(name).exists()).collect();
    for name in ["llama", "llama3", "mistral", "qwen2"] {
        assert!(there.contains(&name), "{name} is missing from {}", folder.display());
    }
    there.into_iter().map(|name| family(&folder.join(name), name)).collect()
}

fn family(directory: &Path, name: &str) -> FamilyCases {
    let (network, ..) = load_directory(directory).unwrap_or_else(|e| panic!("{name}: {e}"));
    let json = std::fs::read_to_string(directory.join("expect.json")).expect("expect.json can be read");
    let family: Family = serde_json::from_str(&json).expect("expect.json has the known schema");
    let case = |mode: &str, expected: &[f32]| {
        let case = Case {
            name: format!("{name} {mode}"),
            mode: mode.into(),
            temperature: 1.0,
            scale: 1.0,
            prefix: family.prefix.clone(),
            contexts: family.contexts.clone(),
            query: family.query.clone(),
            prefix_text: None,
            context_texts: Vec::new(),
            generate: 1,
            stop: Vec::new(),
            expect: Expect {
                top_ids: Vec::new(),
                top_logits: Vec::new(),
                logit_mean: 0.0,
                logit_std: 0.0,
                greedy: Vec::new(),
            },
        };
        (case, expected.to_vec())
    };
    FamilyCases { cases: [case("sequential", &family.full), case("parallel", &family.parallel)], network }
}

/// All logits of tiny models of each family within 1e-3 of transformers', in f32.
#[test]
fn families_agree_with_transformers() {
    for FamilyCases { network, cases } in families() {
        for (case, expected) in cases {
            let logits = &run(&network, &case, EXACT).0[0];
            assert_eq!(logits.len(), expected.len(), "{}", case.name);
            for (id, (ours, theirs)) in logits.iter().zip(&expected).enumerate() {
                assert!((ours - theirs).abs() <= 1e-3, "{}: logit {id} is {ours}, not {theirs}", case.name);
            }
        }
    }
}
