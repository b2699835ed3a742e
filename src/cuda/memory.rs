//! Memory on the device, and page-locked memory of the host.

use std::{
    ffi::c_void,
    fmt,
    ops::{Deref, DerefMut},
    ptr::NonNull,
    sync::Arc,
};

use cudarc::driver::{
    result::{self, DriverError},
    sys,
};

use super::{
    CudaError,
    device::{Context, Pointer, checked},
};

/// Owned bytes on the device, aligned to 256. Giving it back waits for the whole device, so it is kept and used again
/// rather than made for a layer or a token.
pub struct DeviceBuffer {
    pointer: Pointer,
    bytes: usize,
    context: Arc<Context>,
}

impl DeviceBuffer {
    pub(super) fn new(context: &Arc<Context>, bytes: usize) -> Result<Self, CudaError> {
        context.bind()?;
        // The driver gives nothing for 0 bytes, and a buffer of none has an address too.
        // SAFETY: the memory is given back once, in `drop`.
        match unsafe { result::malloc_sync(bytes.max(1)) } {
            Ok(pointer) => Ok(Self { pointer, bytes, context: context.clone() }),
            Err(DriverError(sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY)) => {
                Err(CudaError::OutOfMemory { needed: bytes as u64, free: context.free_bytes()? })
            }
            Err(error) => checked("cuMemAlloc", Err(error)),
        }
    }

    pub fn pointer(&self) -> Pointer {
        self.pointer
    }

    /// The address of the byte `offset`, which must lie within.
    pub fn at(&self, offset: usize) -> Pointer {
        debug_assert!(offset <= self.bytes, "byte {offset} of a buffer of {}", self.bytes);
        self.pointer + offset as u64
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Copies bytes from the host to `offset` and waits for it. What streams do meanwhile is not waited for.
    pub fn write(&self, offset: usize, from: &[u8]) -> Result<(), CudaError> {
        self.check(offset, from.len())?;
        // SAFETY: the call returns once the memory has been read.
        checked("cuMemcpyHtoD", unsafe { result::memcpy_htod_sync(self.at(offset), from) })?;
        // Read, but perhaps still on its way to the device; our streams do not wait for the default one.
        // SAFETY: the default stream is always there.
        checked("cuStreamSynchronize", unsafe { result::stream::synchronize(result::stream::null()) })
    }

    /// Copies bytes at `offset` to the host and waits for it. What streams do meanwhile is not waited for.
    pub fn read(&self, offset: usize, to: &mut [u8]) -> Result<(), CudaError> {
        self.check(offset, to.len())?;
        // SAFETY: the call returns once the memory has been written.
        let copied = unsafe { result::memcpy_dtoh_sync(to, self.at(offset)) };
        checked("cuMemcpyDtoH", copied)
    }

    fn check(&self, offset: usize, length: usize) -> Result<(), CudaError> {
        if offset.checked_add(length).is_none_or(|end| end > self.bytes) {
            return Err(CudaError::Internal("a copy past the end of a device buffer"));
        }
        self.context.bind()
    }
}

impl fmt::Debug for DeviceBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeviceBuffer({} bytes)", self.bytes)
    }
}

impl Drop for DeviceBuffer {
    fn drop(&mut self) {
        // SAFETY: allocated once, freed once. Nobody can be told of a failure.
        let _ = self.context.bind().map(|()| unsafe { result::free_sync(self.pointer) });
    }
}

/// Owned page-locked bytes of the host, aligned to 4096, which the device copies at full speed and can address. What
/// they hold at first is not defined.
pub struct PinnedBuffer {
    address: NonNull<u8>,
    bytes: usize,
    context: Arc<Context>,
}

// SAFETY: plain memory, owned; the driver's calls may come from any thread.
unsafe impl Send for PinnedBuffer {}
// SAFETY: as above.
unsafe impl Sync for PinnedBuffer {}

impl PinnedBuffer {
    pub(super) fn new(context: &Arc<Context>, bytes: usize) -> Result<Self, CudaError> {
        context.bind()?;
        // SAFETY: the memory is given back once, in `drop`.
        let given = unsafe { result::malloc_host(bytes.max(1), sys::CU_MEMHOSTALLOC_PORTABLE) };
        let address = match given {
            Err(DriverError(sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY)) => {
                return Err(CudaError::OutOfPinnedMemory { needed: bytes as u64 });
            }
            given => checked("cuMemHostAlloc", given)?,
        };
        let address = NonNull::new(address.cast::<u8>())
            .ok_or(CudaError::Internal("page-locked memory without an address"))?;
        Ok(Self { address, bytes, context: context.clone() })
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Where the device finds it.
    pub fn pointer(&self) -> Pointer {
        self.address.as_ptr() as Pointer
    }
}

impl Deref for PinnedBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: allocated with this length by the driver, whose pages all hold something.
        unsafe { std::slice::from_raw_parts(self.address.as_ptr(), self.bytes) }
    }
}

impl DerefMut for PinnedBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and borrowed exclusively.
        unsafe { std::slice::from_raw_parts_mut(self.address.as_ptr(), self.bytes) }
    }
}

impl fmt::Debug for PinnedBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PinnedBuffer({} bytes)", self.bytes)
    }
}

impl Drop for PinnedBuffer {
    fn drop(&mut self) {
        let address = self.address.as_ptr().cast::<c_void>();
        // SAFETY: allocated once, freed once. Nobody can be told of a failure.
        let _ = self.context.bind().map(|()| unsafe { result::free_host(address) });
    }
}
