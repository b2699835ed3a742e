//! Stored segments in host memory and on the device: the same bytes as in a file's data, layer after layer.

use std::{fmt, sync::Arc};

use super::{
    CudaError,
    arena::{DeviceBlock, DevicePool, PinnedBlock, PinnedPool},
    device::{Gpu, Pointer},
    memory::DeviceBuffer,
};
use crate::{
    config::CacheDtype,
    model::kv::{KvSegment, KvShape},
};

/// A segment in host memory: what [`KvSegment`] is, in memory that the device can copy from at full speed.
#[derive(Debug)]
pub struct HostSegment {
    shape: KvShape,
    dtype: CacheDtype,
    memory: HostMemory,
}

/// Where a host segment's bytes are.
pub enum HostMemory {
    Pinned(PinnedBlock),
    /// Memory that the device copies from at a fraction of the speed.
    Pageable(Vec<u8>),
}

impl HostMemory {
    /// Page-locked memory where the pool has it, other memory where not.
    pub fn allocate(pool: &PinnedPool, bytes: usize) -> Self {
        match pool.allocate(bytes) {
            Some(block) => Self::Pinned(block),
            None => Self::Pageable(vec![0; bytes]),
        }
    }

    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Pinned(block) => block,
            Self::Pageable(bytes) => bytes,
        }
    }

    pub fn bytes_mut(&mut self) -> &mut [u8] {
        match self {
            Self::Pinned(block) => block,
            Self::Pageable(bytes) => bytes,
        }
    }
}

impl fmt::Debug for HostMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Self::Pinned(_) => "Pinned",
            Self::Pageable(_) => "Pageable",
        };
        write!(f, "{kind}({} bytes)", self.bytes().len())
    }
}

impl HostSegment {
    /// A segment of the bytes in `memory`.
    ///
    /// # Errors
    /// When there are not as many as the shape says.
    pub fn new(shape: KvShape, dtype: CacheDtype, memory: HostMemory) -> Result<Self, CudaError> {
        if memory.bytes().len() != shape.bytes(dtype) {
            return Err(CudaError::Internal("a segment whose bytes are not those of its shape"));
        }
        Ok(Self { shape, dtype, memory })
    }

    /// A copy of a segment, in page-locked memory where the pool has it.
    pub fn copied(segment: &KvSegment, pool: &PinnedPool) -> Result<Self, CudaError> {
        let mut memory = HostMemory::allocate(pool, segment.data.len());
        memory.bytes_mut().copy_from_slice(&segment.data);
        Self::new(segment.shape, segment.dtype, memory)
    }

    pub fn shape(&self) -> KvShape {
        self.shape
    }

    pub fn dtype(&self) -> CacheDtype {
        self.dtype
    }

    pub fn tokens(&self) -> usize {
        self.shape.tokens
    }

    /// All layers, as [`KvSegment::data`] has them.
    pub fn bytes(&self) -> &[u8] {
        self.memory.bytes()
    }

    /// One layer's keys, `[kv_heads, tokens, head_dim]`, and then its values.
    pub fn layer(&self, layer: usize) -> &[u8] {
        let bytes = self.shape.layer_bytes(self.dtype);
        &self.memory.bytes()[layer * bytes..(layer + 1) * bytes]
    }

    pub fn is_pinned(&self) -> bool {
        matches!(self.memory, HostMemory::Pinned(_))
    }

    /// A copy, as the CPU's network and the store take it.
    pub fn to_segment(&self) -> KvSegment {
        KvSegment { shape: self.shape, dtype: self.dtype, data: self.bytes().to_vec().into() }
    }
}

impl AsRef<[u8]> for HostSegment {
    fn as_ref(&self) -> &[u8] {
        self.bytes()
    }
}

impl From<KvSegment> for HostSegment {
    fn from(segment: KvSegment) -> Self {
        Self {
            shape: segment.shape,
            dtype: segment.dtype,
            memory: HostMemory::Pageable(segment.data.to_vec()),
        }
    }
}

/// A segment on the device.
#[derive(Debug)]
pub struct DeviceSegment {
    shape: KvShape,
    dtype: CacheDtype,
    memory: DeviceMemory,
}

#[derive(Debug)]
enum DeviceMemory {
    Own(DeviceBuffer),
    Pooled(DeviceBlock),
}

impl DeviceSegment {
    /// Brings a segment to the device, into memory of its own, and waits for it.
    pub fn upload(gpu: &Gpu, segment: &HostSegment) -> Result<Arc<Self>, CudaError> {
        let memory = DeviceMemory::Own(gpu.upload(segment.bytes())?);
        // A copy from memory that is not page-locked may return while its last part is still on the way.
        gpu.synchronize()?;
        Ok(Arc::new(Self { shape: segment.shape, dtype: segment.dtype, memory }))
    }

    /// A segment of this shape whose bytes are not there yet; `None` where the pool has no room.
    pub fn empty(pool: &DevicePool, shape: KvShape, dtype: CacheDtype) -> Option<Self> {
        let memory = DeviceMemory::Pooled(pool.allocate(shape.bytes(dtype))?);
        Some(Self { shape, dtype, memory })
    }

    pub fn shape(&self) -> KvShape {
        self.shape
    }

    pub fn dtype(&self) -> CacheDtype {
        self.dtype
    }

    pub fn tokens(&self) -> usize {
        self.shape.tokens
    }

    pub fn bytes(&self) -> usize {
        self.shape.bytes(self.dtype)
    }

    /// A copy in host memory, once it is there.
    pub fn to_host(&self, gpu: &Gpu, mut memory: HostMemory) -> Result<HostSegment, CudaError> {
        if memory.bytes().len() != self.bytes() {
            return Err(CudaError::Internal("a segment whose bytes are not those of its shape"));
        }
        // SAFETY: nobody uses the memory before the copy is done.
        unsafe { gpu.copy_out().copy_to_host(memory.bytes_mut(), self.layer(0))? };
        gpu.copy_out().synchronize()?;
        HostSegment::new(self.shape, self.dtype, memory)
    }

    /// Where one layer's keys, `[kv_heads, tokens, head_dim]`, and then its values are.
    pub fn layer(&self, layer: usize) -> Pointer {
        let start = match &self.memory {
            DeviceMemory::Own(buffer) => buffer.pointer(),
            DeviceMemory::Pooled(block) => block.pointer(),
        };
        start + (layer * self.shape.layer_bytes(self.dtype)) as u64
    }
}
