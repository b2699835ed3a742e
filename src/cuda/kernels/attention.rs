//! Attention and the merge of its parts, as `attention.cu` has them.

use std::path::Path;

use super::{Kernels, blocks, number};
use crate::{
    config::CacheDtype,
    cuda::{
        CudaError,
        compile::Target,
        device::{Gpu, Pointer, Stream},
        module::{Function, Module},
    },
};

/// Keys and values that queries attend to, E `[kv_heads, capacity, D]` each, keys rotated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Keys {
    pub keys: Pointer,
    pub values: Pointer,
    /// From a head to the next: capacity · D.
    pub head_stride: u64,
    /// How many there are.
    pub count: usize,
}

/// Attention of some tokens over two groups of keys. The query heads that share a KV head are packed together, so that
/// its keys are read once for all of them.
#[derive(Debug, Clone, Copy)]
pub struct Attend {
    /// E `[tokens, heads, D]`, rotated.
    pub query: Pointer,
    /// Seen in full by every token; there may be none.
    pub shared: Keys,
    /// Causal: a sequence's tokens are the last of its keys, and none sees a later one.
    pub own: Keys,
    pub sequences: usize,
    /// u32 `[sequences + 1]`: first token of each sequence in `query`; the last entry is the number of tokens.
    pub sequence_start: Pointer,
    /// Tokens of the longest sequence.
    pub longest_sequence: usize,
    /// u32 `[sequences]`: slot of each sequence's first own key; 0: all begin at slot 0.
    pub own_offset: Pointer,
    /// u32 `[sequences]`: own keys of each sequence; 0: `own.count` of each.
    pub own_count: Pointer,
    pub tokens: usize,
    pub heads: usize,
    pub kv_heads: usize,
    /// What scores of `shared` are multiplied by before their softmax.
    pub scale_shared: f32,
    pub scale_own: f32,
    /// No kernel started just before this one writes shared keys or values: they may be read before it has ended.
    pub shared_is_old: bool,
    pub mode: AttendMode,
}

/// What comes out.
#[derive(Debug, Clone, Copy)]
pub enum AttendMode {
    /// E `[tokens, heads, D]`: one softmax over the shared keys and then the own ones.
    Joint { output: Pointer },
    /// Parts of both groups, for [`Kernels::merge`]: f32 `[splits, tokens, heads, D]` and their log-sum-exp f32
    /// `[splits, tokens, heads]`, first those of the shared keys. An empty part is 0 with −∞.
    Split { shared_splits: usize, own_splits: usize, partial: Pointer, lse: Pointer },
}

/// `w = softmax([S · T · L_C, L_O])`, output `w_C · out_C + w_O · out_O`, from the parts of an [`AttendMode::Split`];
/// `merge_context` on the CPU. The context's scores were computed at scale / T by the caller.
#[derive(Debug, Clone, Copy)]
pub struct Merge {
    pub partial: Pointer,
    pub lse: Pointer,
    pub shared_splits: usize,
    pub own_splits: usize,
    pub tokens: usize,
    pub heads: usize,
    /// T.
    pub temperature: f32,
    /// S.
    pub scale: f32,
    /// E `[tokens, heads, D]`.
    pub output: Pointer,
}

/// The kernels of `attention.cu` that this device and shape can use; its header says which serves what.
pub(super) struct Attention {
    generic: Function,
    /// On tensor cores, for few rows of a KV head.
    few: Option<Function>,
    /// On tensor cores, for many.
    many: Option<(Kind, Function)>,
    merge: Function,
}

#[repr(C)]
struct AttendArguments {
    query: Pointer,
    shared_keys: Pointer,
    shared_values: Pointer,
    own_keys: Pointer,
    own_values: Pointer,
    sequence_start: Pointer,
    own_offset: Pointer,
    own_count_of: Pointer,
    output: Pointer,
    partial: Pointer,
    lse: Pointer,
    shared_head_stride: u64,
    own_head_stride: u64,
    shared_count: u32,
    own_count: u32,
    sequences: u32,
    tokens: u32,
    heads: u32,
    kv_heads: u32,
    shared_splits: u32,
    own_splits: u32,
    scale_shared: f32,
    scale_own: f32,
    joint: u32,
    shared_is_old: u32,
}

#[repr(C)]
struct MergeArguments {
    partial: Pointer,
    lse: Pointer,
    output: Pointer,
    shared_splits: u32,
    own_splits: u32,
    tokens: u32,
    heads: u32,
    temperature: f32,
    scale: f32,
}

// attention.cu says the same of its side.
const _: () = assert!(size_of::<AttendArguments>() == 152 && size_of::<MergeArguments>() == 48);

/// Fewest keys worth a split of their own.
const KEYS_PER_SPLIT: usize = 256;

/// One of the kernels: query rows of a block, dynamic shared memory, and blocks that a multiprocessor holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Variant {
    kind: Kind,
    rows: usize,
    shared_bytes: usize,
    resident: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Generic,
    Few,
    Many,
    Wide,
}

impl Variant {
    fn of(kind: Kind, head_dim: usize) -> Self {
        let (row, small) = (head_dim + 8, head_dim <= 128);
        let (rows, shared_bytes, resident) = match kind {
            Kind::Generic => (16, 64 * head_dim, 8),
            Kind::Few => (16, (if small { 3 } else { 2 } * 256 + 32) * row, 2),
            Kind::Many if small => (128, 256 * row + 8 * 64 * row, 2),
            Kind::Many => (128, 256 * row + 8 * 32 * row, 1),
            Kind::Wide => (128, 1024 + 1280 * head_dim + 256, 1),
        };
        Self { kind, rows, shared_bytes, resident }
    }

    fn threads(self, head_dim: usize) -> u32 {
        match self.kind {
            Kind::Wide => 384,
            Kind::Many if head_dim > 128 => 256,
            _ => 128,
        }
    }
}

impl Attention {
    pub(super) fn load(
        gpu: &Gpu,
        target: &Target,
        element: CacheDtype,
        head_dim: usize,
        folder: Option<&Path>,
    ) -> Result<Self, CudaError> {
        let module = Module::load(gpu, super::ATTENTION, target, folder)?;
        let function = |name, kind| {
            let variant = Variant::of(kind, head_dim);
            module.function(name, variant.threads(head_dim), variant.shared_bytes as u32)
        };
        let fits = |kind| Variant::of(kind, head_dim).shared_bytes <= gpu.info().shared_memory_bytes;
        let tensor = element != CacheDtype::F32
            && head_dim.is_multiple_of(16)
            && head_dim <= 256
            && gpu.architecture() >= 80
            && fits(Kind::Many);
        // Compiled for 9.0 alone: what comes after it has other instructions for this.
        let wide = tensor && gpu.architecture() == 90 && matches!(head_dim, 64 | 128);
        let many = if wide { ("attend_wide", Kind::Wide) } else { ("attend_many", Kind::Many) };
        Ok(Self {
            generic: function("attend_generic", Kind::Generic)?,
            few: tensor
                .then(|| function("attend_few", Kind::Few))
                .transpose()?
                .map(|function| function.early(gpu)),
            many: match tensor {
                true => Some((many.1, function(many.0, many.1)?)),
                false => None,
            },
            merge: module.function("merge", 128, 0)?.early(gpu),
        })
    }

    /// The kernel for so many rows of a KV head.
    fn choose(&self, rows: usize) -> (Kind, &Function) {
        match (&self.few, &self.many) {
            (Some(few), _) if rows <= 16 => (Kind::Few, few),
            (_, Some((kind, many))) => (*kind, many),
            _ => (Kind::Generic, &self.generic),
        }
    }
}

impl Kernels {
    pub fn attend(&self, stream: &Stream, call: &Attend) -> Result<(), CudaError> {
        if call.kv_heads == 0 || !call.heads.is_multiple_of(call.kv_heads) {
            return Err(CudaError::Internal("query heads that are no multiple of the KV heads"));
        }
        let rows = call.longest_sequence * (call.heads / call.kv_heads);
        let (kind, function) = self.attention.choose(rows);
        let variant = Variant::of(kind, self.head_dim);
        let (joint, output, shared_splits, own_splits, partial, lse) = match call.mode {
            AttendMode::Joint { output } => (1, output, 0, 0, 0, 0),
            AttendMode::Split { shared_splits, own_splits, partial, lse } => {
                (0, 0, shared_splits, own_splits, partial, lse)
            }
        };
        let arguments = AttendArguments {
            query: call.query,
            shared_keys: call.shared.keys,
            shared_values: call.shared.values,
            own_keys: call.own.keys,
            own_values: call.own.values,
            sequence_start: call.sequence_start,
            own_offset: call.own_offset,
            own_count_of: call.own_count,
            output,
            partial,
            lse,
            shared_head_stride: call.shared.head_stride,
            own_head_stride: call.own.head_stride,
            shared_count: number(call.shared.count)?,
            own_count: number(call.own.count)?,
            sequences: number(call.sequences)?,
            tokens: number(call.tokens)?,
            heads: number(call.heads)?,
            kv_heads: number(call.kv_heads)?,
            shared_splits: number(shared_splits)?,
            own_splits: number(own_splits)?,
            scale_shared: call.scale_shared,
            scale_own: call.scale_own,
            joint,
            shared_is_old: call.shared_is_old.into(),
        };
        let parts = if joint == 1 { 1 } else { shared_splits + own_splits };
        let grid = [blocks(rows, variant.rows)?, number(call.kv_heads)?, number(call.sequences * parts)?];
        function.launch(stream, grid, variant.shared_bytes as u32, &arguments)
    }

    pub fn merge(&self, stream: &Stream, call: &Merge) -> Result<(), CudaError> {
        let arguments = MergeArguments {
            partial: call.partial,
            lse: call.lse,
            output: call.output,
            shared_splits: number(call.shared_splits)?,
            own_splits: number(call.own_splits)?,
            tokens: number(call.tokens)?,
            heads: number(call.heads)?,
            temperature: call.temperature,
            scale: call.scale,
        };
        let grid = [number(call.tokens)?, number(call.heads)?, 1];
        self.attention.merge.launch(stream, grid, 0, &arguments)
    }

    /// Into how many parts to cut `shared` and `own` keys so that one [`Self::attend`] of one sequence of `tokens` tokens
    /// keeps the device busy. Most that it ever gives: one part for each 256 keys begun.
    pub fn plan_splits(
        &self,
        tokens: usize,
        heads: usize,
        kv_heads: usize,
        shared: usize,
        own: usize,
    ) -> (usize, usize) {
        let rows = tokens * heads / kv_heads.max(1);
        let variant = Variant::of(self.attention.choose(rows).0, self.head_dim);
        let wave = self.multiprocessors * variant.resident;
        plan(wave, rows.div_ceil(variant.rows) * kv_heads, shared, own)
    }
}

fn plan(wave: usize, tiles: usize, shared: usize, own: usize) -> (usize, usize) {
    let budget = (wave / tiles.max(1)).max(1);
    let part = |count: usize, wanted: usize| match count {
        0 => 0,
        _ => wanted.clamp(1, count.div_ceil(KEYS_PER_SPLIT)),
    };
    let all = (shared + own).max(1);
    let shared_splits = part(shared, (budget * shared + all / 2) / all);
    (shared_splits, part(own, budget.saturating_sub(shared_splits)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_cut_in_proportion_and_never_too_small() {
        // One token of 8 KV heads on 132 multiprocessors that hold two blocks each.
        assert_eq!(plan(264, 8, 131_072, 300), (33, 1));
        assert_eq!(plan(264, 8, 0, 2048), (0, 8));
        assert_eq!(plan(264, 8, 1000, 3), (4, 1));
        assert_eq!(plan(264, 8, 0, 0), (0, 0));
        // More tiles than fit: nothing is cut.
        assert_eq!(plan(264, 1000, 131_072, 300), (1, 1));
    }

    #[test]
    fn shared_memory_is_what_the_sources_say() {
        assert_eq!(Variant::of(Kind::Few, 128).shared_bytes, (3 * 256 + 32) * 136);
        assert_eq!(Variant::of(Kind::Many, 128).shared_bytes, 256 * 136 + 8 * 64 * 136);
        assert_eq!(Variant::of(Kind::Many, 256).threads(256), 256);
        // 227 KiB are what a block of compute capability 9.0 can ask for.
        assert!(Variant::of(Kind::Wide, 128).shared_bytes <= 227 << 10);
    }
}
