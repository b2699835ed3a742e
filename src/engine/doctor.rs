//! Checks what Gibbon needs and says what to do where something is missing.

#[cfg(feature = "cuda")]
mod gpu;

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use super::{
    admin::{Check, CheckStatus},
    compute::load_on_cpu,
    protocol::Failure,
    visible::visible,
};
use crate::{
    catalogue::Catalogue,
    config::{Config, create_private_folder},
    index::{IndexError, Reader},
    model::{Model, hub},
};

/// Free disk space under which there is a warning, in bytes: a few hundred chunks of a small model.
const LOW_SPACE_BYTES: u64 = 2 << 30;

/// One line for each thing that has to be in order, in the order in which they are needed.
pub fn doctor(config: &Config) -> Vec<Check> {
    let mut checks = vec![processor(), data_directory(&config.paths.data), space(&config.paths.data)];
    checks.push(model_source(config));
    let model = load_on_cpu(config).ok();
    if let Some((model, _)) = &model {
        checks.push(loaded_model(model, config));
    }
    #[cfg(feature = "cuda")]
    checks.push(gpu::check(config, model.as_ref().map(|(model, _)| model)));
    checks.extend([index(&config.paths.data), cache(config)]);
    checks
}

/// `940 B`, `93.8 MiB`.
fn size(bytes: u64) -> String {
    bytesize::ByteSize(bytes).display().iec().to_string()
}

fn check(name: &str, status: CheckStatus, detail: impl AsRef<str>, hint: Option<&str>) -> Check {
    Check {
        name: name.to_owned(),
        status,
        detail: visible(detail.as_ref()).into_owned(),
        hint: hint.map(|hint| visible(hint).into_owned()),
    }
}

fn problem(name: &str, failure: &Failure) -> Check {
    check(name, CheckStatus::Problem, &failure.message, failure.hint.as_deref())
}

fn processor() -> Check {
    let threads = rayon::current_num_threads();
    #[cfg(target_arch = "x86_64")]
    let features = [
        ("AVX2", is_x86_feature_detected!("avx2")),
        ("FMA", is_x86_feature_detected!("fma")),
        ("F16C", is_x86_feature_detected!("f16c")),
        ("AVX-512", is_x86_feature_detected!("avx512f")),
    ];
    #[cfg(not(target_arch = "x86_64"))]
    let features: [(&str, bool); 0] = [];
    let present: Vec<&str> = features.iter().filter(|(_, present)| *present).map(|(name, _)| *name).collect();
    let detail = format!("{threads} threads, {} {}", std::env::consts::ARCH, present.join(" "));
    let slow = features.iter().any(|(name, present)| *name == "AVX2" && !present);
    match slow {
        true => check(
            "processor",
            CheckStatus::Warning,
            detail.trim_end(),
            Some("Without AVX2 answers and encoding take several times as long."),
        ),
        false => check("processor", CheckStatus::Ok, detail.trim_end(), None),
    }
}

fn data_directory(data: &Path) -> Check {
    let probe = create_private_folder(data).and_then(|()| {
        let mut file = tempfile::NamedTempFile::new_in(data)?;
        file.write_all(b"doctor")?;
        file.as_file().sync_all()
    });
    match probe {
        Ok(()) => check("data directory", CheckStatus::Ok, data.display().to_string(), None),
        Err(error) => check(
            "data directory",
            CheckStatus::Problem,
            format!("{} cannot be written: {error}", data.display()),
            Some("Set GIBBON_HOME to a directory you can write to, or mend its permissions."),
        ),
    }
}

fn space(data: &Path) -> Check {
    let existing: Option<PathBuf> = data.ancestors().find(|directory| directory.exists()).map(Path::to_owned);
    let Some(stat) = existing.and_then(|directory| rustix::fs::statvfs(directory).ok()) else {
        return check("disk space", CheckStatus::Warning, "could not be read", None);
    };
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    let detail = format!("{} free", size(free));
    match free < LOW_SPACE_BYTES {
        true => check(
            "disk space",
            CheckStatus::Warning,
            detail,
            Some("The cache takes 8 to 64 MiB for a page or two of text; make room or lower --budget."),
        ),
        false => check("disk space", CheckStatus::Ok, detail, None),
    }
}

fn model_source(config: &Config) -> Check {
    match hub::locate(&config.model, &config.paths.data) {
        Ok(found) => {
            let size = size(found.bytes);
            let detail = format!("{} ({size}) at {}", found.name, found.files.path().display());
            check("model", CheckStatus::Ok, detail, None)
        }
        Err(error) => problem("model", &error.into()),
    }
}

fn loaded_model(model: &Model, config: &Config) -> Check {
    let network = &model.network;
    let bytes = network.segment_shape(1).bytes(config.model.cache_dtype);
    let detail = format!(
        "{}, {:.0} million parameters, context of {} tokens, {:.1} KiB of cache per token",
        network.config.architecture,
        model.parameters as f64 / 1e6,
        network.config.context_tokens,
        bytes as f64 / 1024.0,
    );
    check("model loads", CheckStatus::Ok, detail, None)
}

fn index(data: &Path) -> Check {
    let counts = Reader::open(data).and_then(|reader| reader.counts());
    match counts {
        Ok(counts) => {
            let detail = format!("{} files, {} chunks", counts.files, counts.chunks);
            check("index", CheckStatus::Ok, detail, None)
        }
        Err(IndexError::NothingIndexed) => check(
            "index",
            CheckStatus::Warning,
            "nothing is indexed yet",
            Some("Run `gibbon index FOLDER`, or `gibbon demo`."),
        ),
        Err(error) => problem("index", &error.into()),
    }
}

fn cache(config: &Config) -> Check {
    let data = &config.paths.data;
    if !Catalogue::exists(data) {
        return check("cache", CheckStatus::Ok, "empty", None);
    }
    match Catalogue::open(data).and_then(|catalogue| catalogue.cache_bytes()) {
        Ok(bytes) => {
            let budget = config.store.disk_bytes;
            let detail = format!("{} of {} used", size(bytes), size(budget));
            let full = bytes as f64 > 0.95 * budget as f64;
            let hint = "Raise --budget, or run `gibbon cache prune`: what does not fit is encoded at every question.";
            match full {
                true => check("cache", CheckStatus::Warning, detail, Some(hint)),
                false => check("cache", CheckStatus::Ok, detail, None),
            }
        }
        Err(error) => problem("cache", &error.into()),
    }
}
