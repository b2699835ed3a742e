//! A network's weights on the device: from the model's files or from a network on the host, or random ones.
//!
//! All matrices stand in one allocation, `[out, in]` each in E, and all norms and biases in another, in f32. Queries,
//! keys and values are one matrix, and so are gate and up, so that a layer takes four products.

use rayon::prelude::*;

use super::{
    CudaError,
    device::{Event, Gpu, Pointer},
    kernels::Kernels,
    memory::{DeviceBuffer, PinnedBuffer},
    shape::Shape,
};
use crate::{
    config::CacheDtype,
    model::{
        ModelError,
        config::ModelConfig,
        matrix::{Linear, Matrix},
        network::{Layer, Network},
        weights::{Name, Weights},
    },
};

/// Where a matrix or vector starts is a multiple of so many bytes.
const ALIGNMENT: usize = 256;

/// Bytes that are rounded while those before them are copied.
const PIECE_BYTES: usize = 32 << 20;

/// Standard deviation of random weights, as models start their training with.
const RANDOM_SCALE: f32 = 0.02;

/// Where a layer's weights are. Vectors are in f32; 0 stands for one that the model does not have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LayerWeights {
    /// `[hidden]`.
    pub attention_norm: Pointer,
    /// Queries, then keys, then values: `[(heads + 2·kv_heads)·head_dim, hidden]`.
    pub qkv: Pointer,
    pub qkv_bias: Pointer,
    /// `[head_dim]`.
    pub query_norm: Pointer,
    /// `[head_dim]`.
    pub key_norm: Pointer,
    /// `[hidden, heads·head_dim]`.
    pub output: Pointer,
    pub output_bias: Pointer,
    /// `[hidden]`.
    pub feed_forward_norm: Pointer,
    /// Gate, then up: `[2·feed_forward, hidden]`.
    pub gate_up: Pointer,
    pub gate_up_bias: Pointer,
    /// `[hidden, feed_forward]`.
    pub down: Pointer,
    pub down_bias: Pointer,
}

/// A network's weights on the device.
#[derive(Debug)]
pub struct DeviceWeights {
    pub layers: Vec<LayerWeights>,
    /// `[vocabulary, hidden]`.
    pub embedding: Pointer,
    /// `[hidden]`.
    pub norm: Pointer,
    /// `[vocabulary, hidden]`; the embedding's address where the model ties the two.
    pub output: Pointer,
    pub output_bias: Pointer,
    _matrices: DeviceBuffer,
    _vectors: DeviceBuffer,
}

/// Bytes of a network's weights, counted before anything is allocated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WeightBytes {
    pub matrices: usize,
    pub vectors: usize,
}

impl WeightBytes {
    /// What [`DeviceWeights`] of this shape take.
    pub fn of(shape: &Shape, element: CacheDtype) -> Self {
        let places = Places::new(shape, element);
        Self { matrices: places.matrices.end, vectors: places.vectors.end }
    }

    pub fn total(self) -> u64 {
        (self.matrices + self.vectors) as u64
    }
}

/// Gives out places in an allocation, one after the other.
#[derive(Debug, Default)]
struct Row {
    end: usize,
}

impl Row {
    fn take(&mut self, bytes: usize) -> usize {
        let start = self.end;
        self.end = (start + bytes).next_multiple_of(ALIGNMENT);
        start
    }
}

/// Byte offsets of everything. There is room for every bias and norm that a model of the family may have: they are
/// small, and which there are is known only once the layers are read.
#[derive(Debug, Default)]
struct Places {
    matrices: Row,
    vectors: Row,
    layers: Vec<LayerPlaces>,
    embedding: usize,
    output: usize,
    norm: usize,
    output_bias: usize,
}

#[derive(Debug)]
struct LayerPlaces {
    qkv: usize,
    output: usize,
    gate_up: usize,
    down: usize,
    attention_norm: usize,
    qkv_bias: usize,
    query_norm: usize,
    key_norm: usize,
    output_bias: usize,
    feed_forward_norm: usize,
    gate_up_bias: usize,
    down_bias: usize,
}

impl Places {
    fn new(shape: &Shape, element: CacheDtype) -> Self {
        let mut places = Self::default();
        let (hidden, head_dim) = (shape.config.hidden, shape.config.heads.head_dim);
        let (qkv, query, gate_up) = (shape.qkv_width(), shape.query_width(), 2 * shape.feed_forward);
        let table = shape.config.vocabulary * hidden * element.bytes();
        let (matrices, vectors) = (&mut places.matrices, &mut places.vectors);
        places.embedding = matrices.take(table);
        for _ in 0..shape.config.layers {
            let mut matrix = |numbers: usize| matrices.take(numbers * element.bytes());
            let mut vector = |numbers: usize| vectors.take(numbers * size_of::<f32>());
            places.layers.push(LayerPlaces {
                qkv: matrix(qkv * hidden),
                output: matrix(hidden * query),
                gate_up: matrix(gate_up * hidden),
                down: matrix(hidden * shape.feed_forward),
                attention_norm: vector(hidden),
                qkv_bias: vector(qkv),
                query_norm: vector(head_dim),
                key_norm: vector(head_dim),
                output_bias: vector(hidden),
                feed_forward_norm: vector(hidden),
                gate_up_bias: vector(gate_up),
                down_bias: vector(hidden),
            });
        }
        places.output = if shape.tied { places.embedding } else { matrices.take(table) };
        places.norm = vectors.take(hidden * size_of::<f32>());
        places.output_bias = vectors.take(shape.config.vocabulary * size_of::<f32>());
        places
    }
}

impl DeviceWeights {
    /// The weights of a network that is on the host already.
    pub fn from_network(
        gpu: &Gpu,
        network: &Network,
        shape: &Shape,
        element: CacheDtype,
    ) -> Result<Self, CudaError> {
        let mut upload = Upload::new(gpu, shape, element)?;
        upload.embedding_and_output(network.embedding(), network.output(), network.norm())?;
        for layer in network.layers() {
            upload.layer(layer)?;
        }
        upload.finish()
    }

    /// The weights in a model's files, brought over layer by layer, so that the host holds one layer at a time.
    pub fn from_files(
        gpu: &Gpu,
        config: &ModelConfig,
        weights: &Weights,
        shape: &Shape,
        element: CacheDtype,
    ) -> Result<Self, CudaError> {
        let mut upload = Upload::new(gpu, shape, element)?;
        let (embedding, output) = weights.embedding_and_output((config.vocabulary, config.hidden))?;
        let norm = weights.required_norm(Name::OUTPUT_NORM, 0, config.hidden)?;
        upload.embedding_and_output(&embedding, &output, &norm)?;
        drop((embedding, output));
        for index in 0..config.layers {
            upload.layer(&Layer::new(config, weights, index)?)?;
        }
        upload.finish()
    }

    /// Random weights, the same for every run.
    pub fn random(
        gpu: &Gpu,
        kernels: &Kernels,
        shape: &Shape,
        element: CacheDtype,
    ) -> Result<Self, CudaError> {
        let mut upload = Upload::new(gpu, shape, element)?;
        let numbers = (upload.matrices.bytes() / element.bytes()) as u64;
        kernels.fill_random(gpu.compute(), upload.matrices.pointer(), numbers, 1, RANDOM_SCALE)?;
        let ones = |count: usize| vec![1f32; count];
        let (hidden, head_dim) = (shape.config.hidden, shape.config.heads.head_dim);
        for index in 0..shape.config.layers {
            let places = &upload.places.layers[index];
            let vector = |place: usize, numbers: &[f32]| upload.vector(place, numbers);
            let bias = |place: usize| {
                if shape.biases { vector(place, &vec![0.01; shape.qkv_width()]) } else { Ok(0) }
            };
            let head_norm = |place: usize| {
                if shape.head_norms { vector(place, &ones(head_dim)) } else { Ok(0) }
            };
            let layer = LayerWeights {
                attention_norm: vector(places.attention_norm, &ones(hidden))?,
                qkv_bias: bias(places.qkv_bias)?,
                query_norm: head_norm(places.query_norm)?,
                key_norm: head_norm(places.key_norm)?,
                feed_forward_norm: vector(places.feed_forward_norm, &ones(hidden))?,
                ..upload.matrices_of(places)
            };
            upload.layers.push(layer);
        }
        upload.vector(upload.places.norm, &ones(hidden))?;
        upload.finish()
    }
}

/// Brings weights over: rounds them on the host, one piece while the one before is copied.
struct Upload<'a> {
    gpu: &'a Gpu,
    shape: &'a Shape,
    element: CacheDtype,
    places: Places,
    matrices: DeviceBuffer,
    vectors: DeviceBuffer,
    layers: Vec<LayerWeights>,
    output_bias: Pointer,
    pieces: [Piece; 2],
    next: usize,
}

/// Rounded rows on their way to the device.
struct Piece {
    buffer: PinnedBuffer,
    copied: Event,
}

impl<'a> Upload<'a> {
    fn new(gpu: &'a Gpu, shape: &'a Shape, element: CacheDtype) -> Result<Self, CudaError> {
        let places = Places::new(shape, element);
        let needed = WeightBytes::of(shape, element).total();
        let free = gpu.free_bytes()?;
        if needed > free {
            return Err(CudaError::OutOfMemory { needed, free });
        }
        let longest_row = shape.config.hidden.max(shape.feed_forward).max(shape.query_width());
        let bytes = PIECE_BYTES.max(longest_row * element.bytes());
        let piece =
            || Ok::<_, CudaError>(Piece { buffer: gpu.allocate_pinned(bytes)?, copied: gpu.event()? });
        Ok(Self {
            gpu,
            shape,
            element,
            matrices: gpu.allocate(places.matrices.end)?,
            vectors: gpu.allocate(places.vectors.end)?,
            places,
            layers: Vec::with_capacity(shape.config.layers),
            output_bias: 0,
            pieces: [piece()?, piece()?],
            next: 0,
        })
    }

    fn embedding_and_output(
        &mut self,
        embedding: &Matrix,
        output: &Linear,
        norm: &[f32],
    ) -> Result<(), CudaError> {
        let (to_embedding, to_output) = (self.places.embedding, self.places.output);
        self.matrix(to_embedding, embedding)?;
        if !self.shape.tied {
            self.matrix(to_output, &output.matrix)?;
        }
        self.vector(self.places.norm, norm)?;
        self.output_bias = self.biases(self.places.output_bias, &[output])?;
        Ok(())
    }

    fn layer(&mut self, layer: &Layer) -> Result<(), CudaError> {
        let index = self.layers.len();
        let places =
            self.places.layers.get(index).ok_or(CudaError::Internal("more layers than the shape"))?;
        let Layer { query, key, value, gate, up, .. } = layer;
        let (qkv, output, gate_up, down) = (places.qkv, places.output, places.gate_up, places.down);
        let end = self.matrix(qkv, &query.matrix)?;
        let end = self.matrix(end, &key.matrix)?;
        self.matrix(end, &value.matrix)?;
        self.matrix(output, &layer.attention_output.matrix)?;
        let end = self.matrix(gate_up, &gate.matrix)?;
        self.matrix(end, &up.matrix)?;
        self.matrix(down, &layer.down.matrix)?;

        let places = &self.places.layers[index];
        let norm = |place: usize, norm: &Option<Vec<f32>>| match norm {
            Some(norm) => self.vector(place, norm),
            None => Ok(0),
        };
        let weights = LayerWeights {
            attention_norm: self.vector(places.attention_norm, &layer.attention_norm)?,
            qkv_bias: self.biases(places.qkv_bias, &[query, key, value])?,
            query_norm: norm(places.query_norm, &layer.query_norm)?,
            key_norm: norm(places.key_norm, &layer.key_norm)?,
            output_bias: self.biases(places.output_bias, &[&layer.attention_output])?,
            feed_forward_norm: self.vector(places.feed_forward_norm, &layer.feed_forward_norm)?,
            gate_up_bias: self.biases(places.gate_up_bias, &[gate, up])?,
            down_bias: self.biases(places.down_bias, &[&layer.down])?,
            ..self.matrices_of(places)
        };
        self.layers.push(weights);
        Ok(())
    }

    /// Where a layer's matrices are; vectors are left out.
    fn matrices_of(&self, places: &LayerPlaces) -> LayerWeights {
        LayerWeights {
            qkv: self.matrices.at(places.qkv),
            output: self.matrices.at(places.output),
            gate_up: self.matrices.at(places.gate_up),
            down: self.matrices.at(places.down),
            ..LayerWeights::default()
        }
    }

    /// Rounds a matrix and copies it to the byte `place` of the matrices; gives the byte after it.
    fn matrix(&mut self, place: usize, matrix: &Matrix) -> Result<usize, CudaError> {
        let (element, columns) = (self.element, matrix.columns());
        let row_bytes = columns * element.bytes();
        let mut place = place;
        let mut row = 0;
        while row < matrix.rows() {
            let piece = &mut self.pieces[self.next];
            self.next = 1 - self.next;
            piece.copied.synchronize()?;
            let rows = (piece.buffer.bytes() / row_bytes.max(1)).min(matrix.rows() - row);
            if rows == 0 || place + rows * row_bytes > self.matrices.bytes() {
                return Err(CudaError::Internal("a matrix of another shape"));
            }
            let bytes = &mut piece.buffer[..rows * row_bytes];
            round_rows(matrix, row, element, bytes)?;
            let stream = self.gpu.copy_in();
            // SAFETY: the piece is written again only after `copied`, and given back after `finish` or `drop` waited.
            unsafe { stream.copy_to_device(self.matrices.at(place), bytes)? };
            stream.record(&piece.copied)?;
            row += rows;
            place += rows * row_bytes;
        }
        Ok(place)
    }

    /// Copies a vector to the byte `place` of the vectors.
    fn vector(&self, place: usize, numbers: &[f32]) -> Result<Pointer, CudaError> {
        self.vectors.write(place, bytemuck::cast_slice(numbers))?;
        Ok(self.vectors.at(place))
    }

    /// The biases of products that are one on the device: 0 for those that have none, and nothing if none has one.
    fn biases(&self, place: usize, linears: &[&Linear]) -> Result<Pointer, CudaError> {
        if linears.iter().all(|linear| linear.bias.is_none()) {
            return Ok(0);
        }
        let mut numbers = Vec::new();
        for linear in linears {
            match &linear.bias {
                Some(bias) => numbers.extend_from_slice(bias),
                None => numbers.resize(numbers.len() + linear.matrix.rows(), 0.0),
            }
        }
        self.vector(place, &numbers)
    }

    fn finish(self) -> Result<DeviceWeights, CudaError> {
        if self.layers.len() != self.shape.config.layers {
            return Err(CudaError::Internal("fewer layers than the shape"));
        }
        // Also the vectors: a copy from memory that is not page-locked may return while its last part is on the way.
        self.gpu.synchronize()?;
        Ok(DeviceWeights {
            embedding: self.matrices.at(self.places.embedding),
            norm: self.vectors.at(self.places.norm),
            output: self.matrices.at(self.places.output),
            output_bias: self.output_bias,
            layers: self.layers,
            _matrices: self.matrices,
            _vectors: self.vectors,
        })
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        // Its memory must not go while it is copied from. Nobody can be told of a failure.
        let _ = self.copied.synchronize();
    }
}

/// Rounds the rows of `matrix` from `first` on that `bytes` has room for.
fn round_rows(
    matrix: &Matrix,
    first: usize,
    element: CacheDtype,
    bytes: &mut [u8],
) -> Result<(), ModelError> {
    let columns = matrix.columns();
    bytes.par_chunks_mut(columns * element.bytes()).enumerate().try_for_each_init(
        || (vec![0f32; columns], Vec::with_capacity(columns * element.bytes())),
        |(numbers, rounded), (index, out)| {
            matrix.row(first + index, numbers)?;
            rounded.clear();
            element.write(numbers, rounded);
            out.copy_from_slice(rounded);
            Ok(())
        },
    )
}

impl From<ModelError> for CudaError {
    fn from(error: ModelError) -> Self {
        match error {
            ModelError::Cancelled => Self::Cancelled,
            ModelError::ContextTooLong { needed, limit } => {
                Self::ContextTooLong { tokens: needed, capacity: limit }
            }
            ModelError::Internal(what) => Self::Internal(what),
            other => Self::Model(other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_follow_each_other_and_count_every_number() {
        for name in Shape::names() {
            let shape = Shape::named(name).expect("a known name");
            for element in [CacheDtype::F32, CacheDtype::Bf16] {
                let places = Places::new(&shape, element);
                let exact = shape.weights() as usize * element.bytes();
                let matrices = 2 + 4 * shape.config.layers;
                let bytes = WeightBytes::of(&shape, element);
                assert!((exact..=exact + matrices * ALIGNMENT).contains(&bytes.matrices), "{name}");
                assert_eq!(places.output == places.embedding, shape.tied, "{name}");
                for layer in &places.layers {
                    let rows = (layer.output - layer.qkv) / (shape.config.hidden * element.bytes());
                    assert_eq!(rows, shape.qkv_width(), "{name}");
                }
            }
        }
    }
}
