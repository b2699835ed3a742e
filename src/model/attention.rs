//! Attention of query rows over a set of keys, returning its output and its log-sum-exp; and the merge of two such
//! results with APE's temperature and scale (Yang, Chen, Chen: "APE", ICLR 2025, arXiv 2502.05431).
//!
//! Scores, log-sum-exp and merge are in f32. On the CPU the work is cut into tasks of one KV head and a block of
//! query rows (all query heads of the group packed together, so that a key is read once for the whole group); where
//! there are few rows and many keys, as in decoding, the keys are cut as well and the parts are merged by their
//! log-sum-exp, and each task walks its keys once instead of going through a matrix product.

use std::ops::Range;

use rayon::prelude::*;

use super::{gemm::matmul, kv::LayerKv, simd};

/// Query rows of a task; with a few hundred keys its scores stay in the second-level cache.
const BLOCK_ROWS: usize = 96;
/// Fewest keys worth a task of their own.
const MIN_KEYS_PER_TASK: usize = 512;
/// Up to so many query rows a task walks its keys itself: a matrix product would spend more on packing them.
const FEW_ROWS: usize = 12;

/// How many query heads there are and how they are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heads {
    pub heads: usize,
    pub kv_heads: usize,
    pub head_dim: usize,
}

impl Heads {
    /// Query heads that share a KV head (GQA).
    pub fn group(&self) -> usize {
        self.heads / self.kv_heads
    }
}

/// Which keys a query token sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mask {
    /// All of them.
    None,
    /// The query tokens are the last of the keys' tokens, and none sees a later one.
    Causal,
}

/// Output `[tokens, heads, head_dim]` and log-sum-exp `[tokens, heads]` of an attention.
#[derive(Debug, Clone, PartialEq)]
pub struct Attended {
    pub output: Vec<f32>,
    pub lse: Vec<f32>,
}

/// Keys and values to attend to, and how.
#[derive(Debug, Clone, Copy)]
pub struct Group<'a> {
    pub kv: &'a LayerKv,
    /// Scores are multiplied by this before their softmax.
    pub scale: f32,
    pub mask: Mask,
}

/// One task: query tokens of one KV head against a range of keys.
#[derive(Clone)]
struct Task {
    kv_head: usize,
    tokens: Range<usize>,
    keys: Range<usize>,
}

/// What a task gives, rows in the order token, head of the group.
struct Part {
    task: Task,
    output: Vec<f32>,
    lse: Vec<f32>,
}

/// `softmax(scale · q kᵀ) v` and its log-sum-exp. `query` is `[tokens, heads, head_dim]`, already rotated.
/// With no keys at all the output is 0 and the log-sum-exp is −∞, which a merge weighs with 0.
pub fn attend(query: &[f32], tokens: usize, heads: Heads, kv: &LayerKv, scale: f32, mask: Mask) -> Attended {
    attend_both(query, tokens, heads, Group { kv, scale, mask }, None).0
}

/// [`attend`] over one group and, where there is one, over another, as one piece of parallel work.
pub fn attend_both(
    query: &[f32],
    tokens: usize,
    heads: Heads,
    group: Group,
    another: Option<Group>,
) -> (Attended, Option<Attended>) {
    debug_assert_eq!(query.len(), tokens * heads.heads * heads.head_dim);
    let threads = rayon::current_num_threads();
    let plan = |group: Group| plan(tokens, heads, group.kv.tokens(), group.mask, threads);
    let first = plan(group);
    let count = first.len();
    let mut tasks: Vec<(Group, Task)> = first.into_iter().map(|task| (group, task)).collect();
    if let Some(another) = another {
        tasks.extend(plan(another).into_iter().map(|task| (another, task)));
    }
    let mut parts: Vec<Part> =
        tasks.into_par_iter().map(|(group, task)| run(query, tokens, heads, group, task)).collect();
    let rest = parts.split_off(count);
    (gather(parts, tokens, heads), another.map(|_| gather(rest, tokens, heads)))
}

/// Cuts the work into tasks, by query tokens first and by keys where that leaves threads idle.
fn plan(tokens: usize, heads: Heads, keys: usize, mask: Mask, threads: usize) -> Vec<Task> {
    let block = (BLOCK_ROWS / heads.group()).max(1);
    let blocks = tokens.div_ceil(block);
    let wanted = (2 * threads).div_ceil((blocks * heads.kv_heads).max(1));
    let splits = wanted.min(keys / MIN_KEYS_PER_TASK).max(1);
    let mut tasks = Vec::with_capacity(blocks * heads.kv_heads * splits);
    for kv_head in 0..heads.kv_heads {
        for start in (0..tokens).step_by(block) {
            let end = (start + block).min(tokens);
            let visible = match mask {
                Mask::None => keys,
                Mask::Causal => keys - tokens + end,
            };
            let step = visible.div_ceil(splits).max(1);
            let mut first = 0;
            while first < visible {
                let keys = first..(first + step).min(visible);
                first = keys.end;
                tasks.push(Task { kv_head, tokens: start..end, keys });
            }
        }
    }
    tasks
}

fn run(query: &[f32], tokens: usize, heads: Heads, group: Group, task: Task) -> Part {
    let Group { kv, scale, mask } = group;
    let dim = heads.head_dim;
    let rows = task.tokens.len() * heads.group();
    let count = task.keys.len();

    let packed = pack_rows(query, heads, &task, scale);
    let keys = &kv.head_keys(task.kv_head)[task.keys.start * dim..task.keys.end * dim];
    let values = &kv.head_values(task.kv_head)[task.keys.start * dim..task.keys.end * dim];
    // Of the task's keys, how many a row sees.
    let seen = |row: usize| match mask {
        Mask::None => count,
        Mask::Causal => {
            let token = task.tokens.start + row / heads.group();
            (kv.tokens() - tokens + token + 1).saturating_sub(task.keys.start).min(count)
        }
    };

    let mut scores = vec![0f32; rows * count];
    let mut output = vec![0f32; rows * dim];
    let mut lse = vec![f32::NEG_INFINITY; rows];
    let mut softmax = |scores: &mut [f32]| {
        for (row, lse) in lse.iter_mut().enumerate() {
            let (seen, hidden) = scores[row * count..(row + 1) * count].split_at_mut(seen(row));
            *lse = simd::softmax(seen);
            hidden.fill(0.0);
        }
    };
    if rows <= FEW_ROWS {
        simd::run(Scores { packed: &packed, keys, dim, scores: &mut scores });
        softmax(&mut scores);
        simd::run(WeightedSum { scores: &scores, values, dim, output: &mut output });
    } else {
        matmul(&mut scores, &packed, keys, (rows, dim, count), true);
        softmax(&mut scores);
        matmul(&mut output, &scores, values, (rows, count, dim), false);
    }
    Part { task, output, lse }
}

/// Dot products of a few query rows with every key: `scores` is `[rows, keys]`.
struct Scores<'a> {
    packed: &'a [f32],
    keys: &'a [f32],
    dim: usize,
    scores: &'a mut [f32],
}

impl simd::Kernel for Scores<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let count = self.keys.len() / self.dim;
        for (index, key) in self.keys.chunks_exact(self.dim).enumerate() {
            for (row, query) in self.packed.chunks_exact(self.dim).enumerate() {
                self.scores[row * count + index] = simd::dot::<FUSED>(query, key);
            }
        }
    }
}

/// Sums of values weighed by a few rows of scores: `output` is `[rows, dim]`, and grows by them.
struct WeightedSum<'a> {
    scores: &'a [f32],
    values: &'a [f32],
    dim: usize,
    output: &'a mut [f32],
}

impl simd::Kernel for WeightedSum<'_> {
    type Output = ();

    /// Eight values at a time, so that a row of the output is read and written once for all of them.
    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        const VALUES: usize = 8;
        const LANES: usize = 32;
        let Self { scores, values, dim, output } = self;
        let count = values.len() / dim;
        let whole = count - count % VALUES;
        for first in (0..whole).step_by(VALUES) {
            let values: [&[f32]; VALUES] =
                std::array::from_fn(|i| &values[(first + i) * dim..(first + i + 1) * dim]);
            for (row, output) in output.chunks_exact_mut(dim).enumerate() {
                let start = row * count + first;
                let Some(weights) = scores[start..].first_chunk::<VALUES>() else { continue };
                let (blocks, rest) = output.as_chunks_mut::<LANES>();
                let done = blocks.len() * LANES;
                for (index, block) in blocks.iter_mut().enumerate() {
                    let mut sums = *block;
                    for (weight, value) in weights.iter().zip(&values) {
                        let Some(value) = value[index * LANES..].first_chunk::<LANES>() else { continue };
                        for (sum, x) in sums.iter_mut().zip(value) {
                            *sum = simd::multiply_add::<FUSED>(*weight, *x, *sum);
                        }
                    }
                    *block = sums;
                }
                for (d, output) in rest.iter_mut().enumerate() {
                    for (weight, value) in weights.iter().zip(&values) {
                        *output = simd::multiply_add::<FUSED>(*weight, value[done + d], *output);
                    }
                }
            }
        }
        for index in whole..count {
            let value = &values[index * dim..(index + 1) * dim];
            for (row, output) in output.chunks_exact_mut(dim).enumerate() {
                let weight = scores[row * count + index];
                for (output, value) in output.iter_mut().zip(value) {
                    *output = simd::multiply_add::<FUSED>(weight, *value, *output);
                }
            }
        }
    }
}

/// The task's query rows side by side, scaled: `[tokens · group, head_dim]`.
fn pack_rows(query: &[f32], heads: Heads, task: &Task, scale: f32) -> Vec<f32> {
    let (group, dim) = (heads.group(), heads.head_dim);
    let mut packed = Vec::with_capacity(task.tokens.len() * group * dim);
    for token in task.tokens.clone() {
        let start = (token * heads.heads + task.kv_head * group) * dim;
        packed.extend(query[start..start + group * dim].iter().map(|x| x * scale));
    }
    packed
}

/// Puts the parts where they belong, merging those that share query rows.
fn gather(parts: Vec<Part>, tokens: usize, heads: Heads) -> Attended {
    let (group, dim) = (heads.group(), heads.head_dim);
    let mut all = Attended {
        output: vec![0f32; tokens * heads.heads * dim],
        lse: vec![f32::NEG_INFINITY; tokens * heads.heads],
    };
    for part in parts {
        for (row, &lse) in part.lse.iter().enumerate() {
            let token = part.task.tokens.start + row / group;
            let index = token * heads.heads + part.task.kv_head * group + row % group;
            let output = &mut all.output[index * dim..(index + 1) * dim];
            merge_row(output, &mut all.lse[index], &part.output[row * dim..(row + 1) * dim], lse);
        }
    }
    all
}

/// Makes (`output`, `lse`) the attention over both its own keys and those behind (`other`, `other_lse`).
fn merge_row(output: &mut [f32], lse: &mut f32, other: &[f32], other_lse: f32) {
    let (weight, other_weight, total) = weights(*lse, other_lse);
    for (x, y) in output.iter_mut().zip(other) {
        *x = *x * weight + *y * other_weight;
    }
    *lse = total;
}

/// The softmax of two log-sum-exps, and the log-sum-exp of both. Two empty sets weigh 0.
fn weights(a: f32, b: f32) -> (f32, f32, f32) {
    let most = a.max(b);
    if most == f32::NEG_INFINITY {
        return (0.0, 0.0, most);
    }
    let (ea, eb) = ((a - most).exp(), (b - most).exp());
    let sum = ea + eb;
    (ea / sum, eb / sum, most + sum.ln())
}

/// APE's two parameters; at 1 and 1 the merge is that of plain parallel encoding.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ApeScaling {
    /// T, in (0, 1].
    pub temperature: f32,
    /// S, in (0, 1].
    pub scale: f32,
}

impl ApeScaling {
    pub const NONE: Self = Self { temperature: 1.0, scale: 1.0 };
}

/// Merges attention over the context group (computed at `scale / T`) into that over the other group:
/// `w = softmax([S·T·L_C, L_O])`, output `w_C·out_C + w_O·out_O` (APE, section 4; all in f32).
pub fn merge_context(other: &mut Attended, context: &Attended, scaling: ApeScaling) {
    let dim = other.output.len() / other.lse.len().max(1);
    let factor = scaling.scale * scaling.temperature;
    for (index, lse) in other.lse.iter_mut().enumerate() {
        let row = index * dim..(index + 1) * dim;
        merge_row(&mut other.output[row.clone()], lse, &context.output[row], context.lse[index] * factor);
    }
}
