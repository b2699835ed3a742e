//! The memory of tokens on their way through the layers: activations on the device, and the ids and positions that
//! go there. One allocation, for the largest block of tokens asked for so far; every pass uses it again, in the order of
//! the stream of kernels.

use super::{
    CudaError,
    device::{Event, Gpu, Pointer},
    memory::{DeviceBuffer, PinnedBuffer},
    network::BLOCK_TOKENS,
    shape::Shape,
};
use crate::config::CacheDtype;

/// Every part starts at a multiple of so many bytes.
const ALIGNMENT: usize = 256;

/// Least rows of partial attention that there is room for: what a device of 500 multiprocessors cuts one token's keys
/// into at most.
const PARTIAL_ROWS: usize = 2048;

/// Where a block's activations are; `tokens` is the most that fit. What is used after what was before has been used up
/// shares its memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Activations {
    pub tokens: usize,
    /// The residual stream, f32 `[tokens, hidden]`.
    pub hidden: Pointer,
    /// E `[tokens, hidden]`, normalized; then E `[tokens, heads·head_dim]`, the output of attention.
    pub normed: Pointer,
    /// E `[tokens, (heads + 2·kv_heads)·head_dim]`; then gate and up, E `[tokens, 2·feed_forward]`.
    pub projected: Pointer,
    /// Rotated queries, E `[tokens, heads·head_dim]`; then what enters the last product, E `[tokens, feed_forward]`.
    pub query: Pointer,
    /// f32 `[partial_rows, heads, head_dim]`.
    pub partial: Pointer,
    /// f32 `[partial_rows, heads]`.
    pub lse: Pointer,
    /// Tokens times splits.
    pub partial_rows: usize,
    /// f32 `[vocabulary]`, of the last token.
    pub logits: Pointer,
    /// u64: what `Kernels::most_likely` finds in them.
    pub choice: Pointer,
    pub inputs: Inputs,
}

/// What a pass is given: u32 each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Inputs {
    /// `[tokens]`.
    pub ids: Pointer,
    /// `[tokens]`.
    pub positions: Pointer,
    /// `[tokens]`: the sequence of each.
    pub sequence_of: Pointer,
    /// `[sequences + 1]`.
    pub sequence_start: Pointer,
    /// `[sequences]`.
    pub sequence_tokens: Pointer,
    /// `[2]`: 0 and 1, the one sequence of the one token that goes through the last layer.
    pub last: Pointer,
}

/// The tokens of a pass: of one sequence, or of several side by side.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tokens<'a> {
    pub ids: &'a [u32],
    pub positions: &'a [u32],
    /// First token of each sequence, and the number of tokens: `[sequences + 1]`.
    pub sequence_start: &'a [u32],
}

/// Ids and positions on their way to the device.
struct Letter {
    buffer: PinnedBuffer,
    copied: Event,
}

impl Drop for Letter {
    fn drop(&mut self) {
        // Its memory must not go while it is copied from. Nobody can be told of a failure.
        let _ = self.copied.synchronize();
    }
}

/// See the module's documentation.
pub(super) struct Workspace {
    activations: Activations,
    /// Two, so that one is written while the other may still be waiting for its copy.
    letters: [Letter; 2],
    next: usize,
    /// The logits of the last pass have been copied to the host.
    fetched: Event,
    bytes: u64,
    _buffer: DeviceBuffer,
}

/// Counts out the parts of a workspace from an address.
struct Parts {
    end: Pointer,
}

impl Parts {
    fn take(&mut self, bytes: usize) -> Pointer {
        let start = self.end;
        self.end = (start + bytes as u64).next_multiple_of(ALIGNMENT as u64);
        start
    }
}

/// Words of the inputs of `tokens` tokens, in parts that start at multiples of 16 bytes.
fn input_words(tokens: usize) -> usize {
    5 * padded(tokens + 1) + 4
}

fn padded(words: usize) -> usize {
    words.next_multiple_of(4)
}

impl Activations {
    fn new(shape: &Shape, element: CacheDtype, tokens: usize, start: Pointer) -> (Self, Pointer) {
        let mut parts = Parts { end: start };
        let (hidden, query, feed_forward) = (shape.config.hidden, shape.query_width(), shape.feed_forward);
        let heads = shape.config.heads;
        // Where many sequences are encoded side by side, nothing is split.
        let partial_rows = (2 * tokens.min(BLOCK_TOKENS)).max(PARTIAL_ROWS);
        let float = size_of::<f32>();
        let mut elements = |width: usize| parts.take(tokens * width * element.bytes());
        let normed = elements(hidden.max(query));
        let projected = elements(shape.qkv_width().max(2 * feed_forward));
        let query = elements(query.max(feed_forward));
        let activations = Self {
            tokens,
            hidden: parts.take(tokens * hidden * float),
            normed,
            projected,
            query,
            partial: parts.take(partial_rows * heads.heads * heads.head_dim * float),
            lse: parts.take(partial_rows * heads.heads * float),
            partial_rows,
            logits: parts.take(shape.config.vocabulary * float),
            choice: parts.take(size_of::<u64>()),
            inputs: Inputs::of(parts.take(input_words(tokens) * size_of::<u32>()), tokens),
        };
        (activations, parts.end)
    }
}

impl Inputs {
    /// Those of a pass of `tokens` tokens, one after the other from `start` on.
    fn of(start: Pointer, tokens: usize) -> Self {
        let part = |index: usize| start + (index * padded(tokens + 1) * size_of::<u32>()) as u64;
        Self {
            ids: part(0),
            positions: part(1),
            sequence_of: part(2),
            sequence_start: part(3),
            sequence_tokens: part(4),
            last: part(5),
        }
    }
}

impl Workspace {
    /// Bytes on the device that a workspace for `tokens` takes.
    pub fn needed(shape: &Shape, element: CacheDtype, tokens: usize) -> u64 {
        Activations::new(shape, element, tokens, 0).1
    }

    /// # Errors
    /// [`CudaError::OutOfMemory`].
    pub fn new(gpu: &Gpu, shape: &Shape, element: CacheDtype, tokens: usize) -> Result<Self, CudaError> {
        let bytes = Self::needed(shape, element, tokens);
        let buffer = gpu.allocate(bytes as usize)?;
        let (activations, _) = Activations::new(shape, element, tokens, buffer.pointer());
        let letter = || {
            let buffer = gpu.allocate_pinned(input_words(tokens) * size_of::<u32>())?;
            Ok::<_, CudaError>(Letter { buffer, copied: gpu.event()? })
        };
        let (letters, fetched) = ([letter()?, letter()?], gpu.event()?);
        Ok(Self { activations, letters, next: 0, fetched, bytes, _buffer: buffer })
    }

    pub fn activations(&self) -> &Activations {
        &self.activations
    }

    /// What happens once the logits of the last pass are no longer needed here; true of none.
    pub fn fetched(&self) -> &Event {
        &self.fetched
    }

    /// Most tokens of a pass.
    pub fn tokens(&self) -> usize {
        self.activations.tokens
    }

    /// Bytes on the device.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Starts bringing a pass's tokens to the device. Waits only where two passes before this one are still to begin.
    pub fn bring(&mut self, gpu: &Gpu, tokens: &Tokens) -> Result<(), CudaError> {
        let most = self.activations.tokens;
        if tokens.ids.len() > most || tokens.positions.len() != tokens.ids.len() {
            return Err(CudaError::Internal("a block of tokens larger than its workspace"));
        }
        let letter = &mut self.letters[self.next];
        self.next = 1 - self.next;
        letter.copied.synchronize()?;
        // As short as it can be: a token's whole work takes a few milliseconds.
        let count = tokens.ids.len();
        self.activations.inputs = Inputs::of(self.activations.inputs.ids, count);
        let bytes = input_words(count) * size_of::<u32>();
        write(bytemuck::cast_slice_mut(&mut letter.buffer[..bytes]), count, tokens);
        // SAFETY: the letter is written again, and given back, only after `copied`.
        unsafe { gpu.compute().copy_to_device(self.activations.inputs.ids, &letter.buffer[..bytes])? };
        gpu.compute().record(&letter.copied)
    }
}

/// Writes the inputs of a pass of `count` tokens in the order of [`Inputs`].
fn write(words: &mut [u32], count: usize, tokens: &Tokens) {
    let part = padded(count + 1);
    let (ids, rest) = words.split_at_mut(part);
    let (positions, rest) = rest.split_at_mut(part);
    let (sequence_of, rest) = rest.split_at_mut(part);
    let (sequence_start, rest) = rest.split_at_mut(part);
    let (sequence_tokens, last) = rest.split_at_mut(part);
    ids[..tokens.ids.len()].copy_from_slice(tokens.ids);
    positions[..tokens.positions.len()].copy_from_slice(tokens.positions);
    sequence_start[..tokens.sequence_start.len()].copy_from_slice(tokens.sequence_start);
    for (sequence, bounds) in tokens.sequence_start.windows(2).enumerate() {
        sequence_tokens[sequence] = bounds[1] - bounds[0];
        sequence_of[bounds[0] as usize..bounds[1] as usize].fill(sequence as u32);
    }
    last[..2].copy_from_slice(&[0, 1]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_stand_where_the_device_looks_for_them() {
        let shape = Shape::named("smollm2-135m").expect("a known name");
        let (activations, _) = Activations::new(&shape, CacheDtype::F32, 7, 0);
        let inputs = Inputs::of(activations.inputs.ids, 5);
        let mut words = vec![9; input_words(5)];
        let tokens =
            Tokens { ids: &[10, 11, 12, 13, 14], positions: &[3, 4, 3, 4, 5], sequence_start: &[0, 2, 5] };
        write(&mut words, 5, &tokens);
        let at = |pointer: Pointer| &words[((pointer - inputs.ids) / 4) as usize..];
        assert_eq!(at(inputs.ids)[..5], [10, 11, 12, 13, 14]);
        assert_eq!(at(inputs.positions)[..5], [3, 4, 3, 4, 5]);
        assert_eq!(at(inputs.sequence_of)[..5], [0, 0, 1, 1, 1]);
        assert_eq!(at(inputs.sequence_start)[..3], [0, 2, 5]);
        assert_eq!(at(inputs.sequence_tokens)[..2], [2, 3]);
        assert_eq!(at(inputs.last)[..2], [0, 1]);
    }

    #[test]
    fn parts_do_not_overlap() {
        let shape = Shape::named("qwen3-0.6b").expect("a known name");
        let (tokens, element) = (100, CacheDtype::Bf16);
        let (a, end) = Activations::new(&shape, element, tokens, 4096);
        let bytes = |width: usize| (tokens * width * element.bytes()) as u64;
        assert!(a.normed >= 4096);
        assert!(a.projected >= a.normed + bytes(shape.query_width().max(shape.config.hidden)));
        assert!(a.query >= a.projected + bytes(2 * shape.feed_forward));
        assert!(a.hidden >= a.query + bytes(shape.feed_forward.max(shape.query_width())));
        assert!(a.partial >= a.hidden + (tokens * shape.config.hidden * 4) as u64);
        assert!(a.logits > a.lse && a.lse > a.partial);
        assert!(end >= a.inputs.last + 16);
    }
}
