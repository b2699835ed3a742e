//! CUDA sources into cubins: by NVRTC, for one architecture, and kept in a folder.
//!
//! A kept file is named after everything that it depends on and begins with the BLAKE3 of what follows, so that a
//! damaged one is seen and made again. It is written under another name and renamed: whole or absent.

use std::{
    ffi::{CStr, CString, c_char, c_int},
    io::Write,
    path::Path,
};

use cudarc::nvrtc::{result::NvrtcError, sys};

use super::CudaError;

/// A source of kernels: pieces that are put after each other.
#[derive(Debug, Clone, Copy)]
pub struct Source {
    /// For messages.
    pub name: &'static str,
    pub pieces: &'static [&'static str],
}

/// What a source is compiled for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// `sm_90` as 90.
    pub architecture: u32,
    /// Macros and their values.
    pub macros: Vec<(&'static str, u32)>,
}

impl Target {
    /// The compiler's options. On 9.0 those instructions are allowed that only 9.0 has.
    fn options(&self) -> Vec<String> {
        let suffix = if self.architecture == 90 { "a" } else { "" };
        let mut options =
            vec![format!("--gpu-architecture=sm_{}{suffix}", self.architecture), "--std=c++17".to_owned()];
        options.extend(self.macros.iter().map(|(name, value)| format!("-D{name}={value}")));
        options
    }
}

/// Whether the compiler is installed.
///
/// # Errors
/// [`CudaError::MissingLibrary`] where it is not.
pub fn is_there() -> Result<(), CudaError> {
    // SAFETY: loading the library runs its start-up code, as any use of it would.
    if unsafe { sys::is_culib_present() } {
        return Ok(());
    }
    Err(CudaError::MissingLibrary { library: "NVRTC (libnvrtc, of the CUDA toolkit)" })
}

/// The cubin of `source`, from `folder` where it is kept there, else compiled and then kept. A folder that cannot be
/// written costs time at the next start and nothing else.
pub fn cubin(source: Source, target: &Target, folder: Option<&Path>) -> Result<Vec<u8>, CudaError> {
    is_there()?;
    let Some(folder) = folder else { return compile(source, target) };
    let path = folder.join(file_name(source, target)?);
    if let Some(kept) = read(&path) {
        return Ok(kept);
    }
    let fresh = compile(source, target)?;
    if let Err(error) = write(folder, &path, &fresh) {
        tracing::warn!("compiled GPU kernels are not kept in {}: {error}", folder.display());
    }
    Ok(fresh)
}

/// Takes away what [`cubin`] would find: the driver did not accept it.
pub(super) fn forget(source: Source, target: &Target, folder: &Path) -> Result<(), CudaError> {
    // One that is not there has been forgotten already.
    let _ = std::fs::remove_file(folder.join(file_name(source, target)?));
    Ok(())
}

/// Compiles without looking at or keeping files.
///
/// # Errors
/// [`CudaError::Compile`] with the compiler's messages.
pub fn compile(source: Source, target: &Target) -> Result<Vec<u8>, CudaError> {
    is_there()?;
    let failed = |log: String| CudaError::Compile { source_name: source.name, log };
    let program = Program::new(source).map_err(|error| failed(error.to_string()))?;
    program.compile(&target.options()).map_err(|error| failed(format!("{error}\n{}", program.log())))?;
    program.cubin().map_err(|error| failed(error.to_string()))
}

/// The name of everything that a cubin depends on.
fn file_name(source: Source, target: &Target) -> Result<String, CudaError> {
    let mut hasher = blake3::Hasher::new();
    let mut add = |text: &str| {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    };
    source.pieces.iter().copied().for_each(&mut add);
    target.options().iter().map(String::as_str).for_each(&mut add);
    let (major, minor) = compiler_version()?;
    add(&format!("NVRTC {major}.{minor}"));
    Ok(format!("{}-{}.cubin", source.name, hasher.finalize().to_hex()))
}

fn compiler_version() -> Result<(c_int, c_int), CudaError> {
    let (mut major, mut minor) = (0, 0);
    // SAFETY: the compiler writes two numbers.
    let status = unsafe { sys::nvrtcVersion(&raw mut major, &raw mut minor) };
    status
        .result()
        .map_err(|error| CudaError::Compile { source_name: "no source", log: error.to_string() })?;
    Ok((major, minor))
}

fn read(path: &Path) -> Option<Vec<u8>> {
    let mut bytes = std::fs::read(path).ok()?;
    let (hash, cubin) = bytes.split_first_chunk::<{ blake3::OUT_LEN }>()?;
    if blake3::hash(cubin) != *hash || cubin.is_empty() {
        tracing::warn!("{} is damaged; the kernels are compiled again", path.display());
        return None;
    }
    Some(bytes.split_off(blake3::OUT_LEN))
}

fn write(folder: &Path, path: &Path, cubin: &[u8]) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(blake3::hash(cubin).as_bytes())?;
    file.write_all(cubin)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

/// A program of NVRTC, and the text that it may refer to.
struct Program {
    raw: sys::nvrtcProgram,
    _text: CString,
}

impl Program {
    fn new(source: Source) -> Result<Self, NvrtcError> {
        let invalid = || NvrtcError(sys::nvrtcResult::NVRTC_ERROR_INVALID_INPUT);
        let text = CString::new(source.pieces.concat()).map_err(|_| invalid())?;
        let name = CString::new(source.name).map_err(|_| invalid())?;
        let raw = cudarc::nvrtc::result::create_program(&text, Some(&name))?;
        Ok(Self { raw, _text: text })
    }

    fn compile(&self, options: &[String]) -> Result<(), NvrtcError> {
        // SAFETY: the program is alive.
        unsafe { cudarc::nvrtc::result::compile_program(self.raw, options) }
    }

    /// What the compiler said.
    fn log(&self) -> String {
        // SAFETY: the program is alive.
        let log = unsafe { cudarc::nvrtc::result::get_program_log(self.raw) }.unwrap_or_default();
        let bytes: Vec<u8> = log.iter().map(|c: &c_char| *c as u8).collect();
        let text = CStr::from_bytes_until_nul(&bytes).map(CStr::to_string_lossy);
        text.unwrap_or_default().trim().to_owned()
    }

    fn cubin(&self) -> Result<Vec<u8>, NvrtcError> {
        let mut size = 0;
        // SAFETY: the program is alive and the buffer as long as the compiler says.
        unsafe {
            sys::nvrtcGetCUBINSize(self.raw, &raw mut size).result()?;
            let mut bytes = vec![0u8; size];
            sys::nvrtcGetCUBIN(self.raw, bytes.as_mut_ptr().cast()).result()?;
            Ok(bytes)
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // SAFETY: created once, destroyed once. Nobody can be told of a failure.
        let _ = unsafe { cudarc::nvrtc::result::destroy_program(self.raw) };
    }
}
