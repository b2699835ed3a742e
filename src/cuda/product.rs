//! Products of matrices by cuBLAS, for more rows than [`super::kernels::Kernels::gemv`] takes.

use std::{
    ffi::c_void,
    sync::{Arc, Mutex, PoisonError},
};

use cudarc::cublas::{
    result::{self, CublasError},
    sys,
};

use super::{
    CudaError,
    device::{Context, Pointer, Stream},
    memory::DeviceBuffer,
};
use crate::config::CacheDtype;

/// What cuBLAS may use besides its operands, in bytes; NVIDIA advises 32 MiB for Hopper and less for what came before.
const WORKSPACE: usize = 32 << 20;

/// `output[tokens, rows] = input[tokens, columns] · weight[rows, columns]ᵀ`, all row after row without gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gemm {
    /// The type of `weight` and `input`. Sums are in f32 whatever it is.
    pub element: CacheDtype,
    pub weight: Pointer,
    pub input: Pointer,
    pub output: Pointer,
    pub kind: GemmOutput,
    pub tokens: usize,
    pub rows: usize,
    pub columns: usize,
}

/// What becomes of the sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GemmOutput {
    /// They are rounded to the operands' type.
    Element,
    /// They are written in f32.
    F32,
    /// They are added to what is there, in f32.
    AddF32,
}

/// A cuBLAS handle bound to the stream of kernels.
pub(super) struct Blas {
    /// One call at a time: the handle is not safe for several.
    handle: Mutex<Handle>,
    /// Set explicitly, so that no call allocates.
    _workspace: DeviceBuffer,
    context: Arc<Context>,
}

impl Drop for Blas {
    fn drop(&mut self) {
        // The handle is about to end, which takes its context. Nobody can be told of a failure.
        let _ = self.context.bind();
    }
}

struct Handle(sys::cublasHandle_t);

// SAFETY: cuBLAS allows a handle on any thread, one at a time, which the mutex sees to.
unsafe impl Send for Handle {}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: created once, destroyed once. Nobody can be told of a failure.
        let _ = unsafe { result::destroy_handle(self.0) };
    }
}

impl Blas {
    pub(super) fn is_there() -> Result<(), CudaError> {
        // SAFETY: loading the library runs its start-up code, as any use of it would.
        if unsafe { sys::is_culib_present() } {
            return Ok(());
        }
        Err(CudaError::MissingLibrary { library: "cuBLAS (libcublas, of the CUDA toolkit)" })
    }

    pub(super) fn new(context: &Arc<Context>, stream: &Stream) -> Result<Self, CudaError> {
        context.bind()?;
        let handle = Handle(checked("cublasCreate", result::create_handle())?);
        let workspace = DeviceBuffer::new(context, WORKSPACE)?;
        // SAFETY: handle, stream and workspace are alive; the driver's stream and the runtime's are the same thing.
        // The stream comes first, since setting it takes the workspace away.
        unsafe {
            checked("cublasSetStream", sys::cublasSetStream_v2(handle.0, stream.raw().cast()).result())?;
            let memory = workspace.pointer() as *mut c_void;
            checked(
                "cublasSetWorkspace",
                sys::cublasSetWorkspace_v2(handle.0, memory, workspace.bytes()).result(),
            )?;
            // Products that are cut along their columns are summed in f32 too.
            let exact = sys::cublasMath_t::CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION;
            checked("cublasSetMathMode", sys::cublasSetMathMode(handle.0, exact).result())?;
        }
        Ok(Self { handle: Mutex::new(handle), _workspace: workspace, context: context.clone() })
    }

    pub(super) fn run(&self, gemm: &Gemm) -> Result<(), CudaError> {
        let Gemm { element, weight, input, output, kind, tokens, rows, columns } = *gemm;
        if tokens == 0 || rows == 0 {
            return Ok(());
        }
        let count = |count: usize| {
            i32::try_from(count).map_err(|_| CudaError::Internal("a matrix too large for cuBLAS"))
        };
        let (tokens, rows, columns) = (count(tokens)?, count(rows)?, count(columns)?);
        let operand = data_type(element);
        let (result_type, beta) = match kind {
            GemmOutput::Element => (operand, 0f32),
            GemmOutput::F32 => (sys::cudaDataType::CUDA_R_32F, 0.0),
            GemmOutput::AddF32 => (sys::cudaDataType::CUDA_R_32F, 1.0),
        };
        let alpha = 1f32;
        let handle = self.handle.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the handle is alive; the addresses are the caller's. cuBLAS counts in columns, and what is row after
        // row to us is the transpose to it, so it is asked for outputᵀ = weight · inputᵀ.
        let status = unsafe {
            sys::cublasGemmEx(
                handle.0,
                sys::cublasOperation_t::CUBLAS_OP_T,
                sys::cublasOperation_t::CUBLAS_OP_N,
                rows,
                tokens,
                columns,
                (&raw const alpha).cast(),
                weight as *const c_void,
                operand,
                columns,
                input as *const c_void,
                operand,
                columns,
                (&raw const beta).cast(),
                output as *mut c_void,
                result_type,
                rows,
                sys::cublasComputeType_t::CUBLAS_COMPUTE_32F,
                sys::cublasGemmAlgo_t::CUBLAS_GEMM_DEFAULT,
            )
        };
        checked("cublasGemmEx", status.result())
    }
}

fn data_type(element: CacheDtype) -> sys::cudaDataType {
    match element {
        CacheDtype::F32 => sys::cudaDataType::CUDA_R_32F,
        CacheDtype::F16 => sys::cudaDataType::CUDA_R_16F,
        CacheDtype::Bf16 => sys::cudaDataType::CUDA_R_16BF,
    }
}

fn checked<T>(call: &'static str, result: Result<T, CublasError>) -> Result<T, CudaError> {
    result.map_err(|error| CudaError::Blas { call, reason: format!("{:?}", error.0) })
}
