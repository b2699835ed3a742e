//! Compiled kernels on a device, and how they are started.

use std::{ffi::CString, path::Path, sync::Arc};

use cudarc::driver::{result, sys};

use super::{
    CudaError,
    compile::{self, Source, Target},
    device::{Context, Gpu, Stream, checked},
};

/// Kernels of one source, loaded.
pub(super) struct Module {
    raw: sys::CUmodule,
    context: Arc<Context>,
}

// SAFETY: the driver's calls may come from any thread; the handle is never changed.
unsafe impl Send for Module {}
// SAFETY: as above.
unsafe impl Sync for Module {}

impl Module {
    /// Compiles `source`, or takes the cubin kept in `folder`, and loads it.
    pub(super) fn load(
        gpu: &Gpu,
        source: Source,
        target: &Target,
        folder: Option<&Path>,
    ) -> Result<Arc<Self>, CudaError> {
        let context = gpu.context();
        context.bind()?;
        match (Self::from_cubin(context, &compile::cubin(source, target, folder)?), folder) {
            // What was kept is whole, and yet nothing that this driver takes.
            (Err(_), Some(folder)) => {
                compile::forget(source, target, folder)?;
                Self::from_cubin(context, &compile::cubin(source, target, Some(folder))?)
            }
            (loaded, _) => loaded,
        }
    }

    fn from_cubin(context: &Arc<Context>, cubin: &[u8]) -> Result<Arc<Self>, CudaError> {
        // SAFETY: the driver checks what it is given.
        let raw = checked("cuModuleLoadData", unsafe { result::module::load_data(cubin.as_ptr().cast()) })?;
        Ok(Arc::new(Self { raw, context: context.clone() }))
    }

    /// The kernel called `name`, for blocks of `threads` threads that take up to `shared_bytes` of shared memory beside
    /// what the kernel declares.
    pub(super) fn function(
        self: &Arc<Self>,
        name: &'static str,
        threads: u32,
        shared_bytes: u32,
    ) -> Result<Function, CudaError> {
        /// What a kernel may take without having asked for it.
        const WITHOUT_ASKING: u32 = 48 << 10;
        self.context.bind()?;
        let text =
            CString::new(name).map_err(|_| CudaError::Internal("a kernel's name with a zero in it"))?;
        // SAFETY: the module is loaded.
        let raw = checked("cuModuleGetFunction", unsafe { result::module::get_function(self.raw, text) })?;
        if shared_bytes > WITHOUT_ASKING {
            let attribute = sys::CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
            // SAFETY: the function is the module's.
            let set =
                unsafe { result::function::set_function_attribute(raw, attribute, shared_bytes as i32) };
            checked("cuFuncSetAttribute", set)?;
        }
        Ok(Function { raw, name, threads, early: false, module: self.clone() })
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        // SAFETY: loaded once, unloaded once. Nobody can be told of a failure.
        let _ = self.context.bind().map(|()| unsafe { result::module::unload(self.raw) });
    }
}

/// One kernel.
pub(super) struct Function {
    raw: sys::CUfunction,
    name: &'static str,
    threads: u32,
    /// It may start while the kernel before it ends; see [`Function::early`].
    early: bool,
    module: Arc<Module>,
}

// SAFETY: the driver's calls may come from any thread; the handle is never changed.
unsafe impl Send for Function {}
// SAFETY: as above.
unsafe impl Sync for Function {}

impl Function {
    /// Lets blocks of this kernel start while those of the kernel before it on the stream end, where the device can do
    /// that (compute capability 9.0 on). The kernel itself must wait (`griddepcontrol.wait`) before it touches anything
    /// that the one before reads or writes. A token's hundreds of kernels follow each other without gaps then.
    pub(super) fn early(self, gpu: &Gpu) -> Self {
        Self { early: gpu.architecture() >= 90, ..self }
    }

    /// Blocks that a multiprocessor holds at a time, by their registers and this much shared memory.
    pub(super) fn resident(&self, shared_bytes: usize) -> Result<usize, CudaError> {
        self.module.context.bind()?;
        // SAFETY: the function is loaded.
        let blocks = unsafe {
            result::occupancy::max_active_block_per_multiprocessor(
                self.raw,
                self.threads as i32,
                shared_bytes,
            )
        };
        Ok(checked("cuOccupancyMaxActiveBlocksPerMultiprocessor", blocks)?.max(1) as usize)
    }

    /// Starts the kernel on `grid` blocks with its one argument. A grid of none is nothing to do.
    pub(super) fn launch<A>(
        &self,
        stream: &Stream,
        grid: [u32; 3],
        shared_bytes: u32,
        arguments: &A,
    ) -> Result<(), CudaError> {
        if grid.contains(&0) {
            return Ok(());
        }
        stream.bind()?;
        let mut attribute = sys::CUlaunchAttribute {
            id: sys::CUlaunchAttributeID::CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION,
            pad: [0; 4],
            value: sys::CUlaunchAttributeValue { programmaticStreamSerializationAllowed: 1 },
        };
        let configuration = sys::CUlaunchConfig {
            gridDimX: grid[0],
            gridDimY: grid[1],
            gridDimZ: grid[2],
            blockDimX: self.threads,
            blockDimY: 1,
            blockDimZ: 1,
            sharedMemBytes: shared_bytes,
            hStream: stream.raw(),
            attrs: &raw mut attribute,
            numAttrs: u32::from(self.early),
        };
        let mut parameters = [std::ptr::from_ref(arguments).cast_mut().cast()];
        // SAFETY: the function is loaded; the driver copies the argument before it returns, as many bytes as the
        // kernel's own structure has, which is as long as ours (checked on both sides).
        let status = unsafe {
            sys::cuLaunchKernelEx(
                &raw const configuration,
                self.raw,
                parameters.as_mut_ptr(),
                std::ptr::null_mut(),
            )
        };
        checked("cuLaunchKernelEx", status.result()).map_err(|error| match error {
            CudaError::Driver { call, reason } => {
                CudaError::Driver { call, reason: format!("{}: {reason}", self.name) }
            }
            other => other,
        })
    }
}
