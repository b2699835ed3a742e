//! The kernels' sources compile, and what was compiled is kept. This takes the compiler and no GPU; where there is no
//! compiler either, the error says so.

use std::fs;

use gibbon::{
    config::CacheDtype,
    cuda::{
        CudaError,
        compile::{self, Source},
        kernels::{self, SOURCES},
    },
};

use super::device::{ELEMENTS, LAYOUTS, compile_all, kernel_folder};

/// Whether NVRTC is here; without it the tests below have nothing to look at.
fn compiler() -> bool {
    match compile::is_there() {
        Ok(()) => true,
        Err(CudaError::MissingLibrary { .. }) => {
            println!("NVRTC is not installed");
            false
        }
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn the_sources_compile_for_every_type_on_old_and_new_architectures() {
    if !compiler() {
        return;
    }
    for source in SOURCES {
        for element in ELEMENTS {
            for (architecture, head_dim, layout) in
                [(80, 128, LAYOUTS[1]), (90, 128, LAYOUTS[1]), (90, 24, LAYOUTS[0]), (80, 64, LAYOUTS[0])]
            {
                let target = kernels::target(architecture, element, head_dim, layout);
                let cubin = compile::cubin(source, &target, Some(&kernel_folder())).unwrap();
                assert!(cubin.starts_with(b"\x7fELF"), "{} for {target:?}", source.name);
            }
        }
    }
}

/// What the tests on a GPU would compile first, so that it can be taken to a machine with one (`GIBBON_TEST_KERNELS`).
#[test]
#[ignore = "takes minutes"]
fn all_kernels_that_the_tests_use_compile_for_compute_capability_9_0() {
    if compiler() {
        compile_all(90);
    }
}

#[test]
fn a_source_that_does_not_compile_says_where() {
    if !compiler() {
        return;
    }
    let target = kernels::target(90, CacheDtype::F32, 64, LAYOUTS[0]);
    let source = Source { name: "broken", pieces: &["int a;\n", "this is not C++\n"] };
    match compile::compile(source, &target) {
        Err(CudaError::Compile { source_name, log }) => {
            assert_eq!(source_name, "broken");
            assert!(log.contains("broken(2)"), "{log}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_kept_cubin_is_read_again_and_a_damaged_one_made_again() {
    if !compiler() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("not there yet");
    let target = kernels::target(90, CacheDtype::F32, 64, LAYOUTS[0]);
    let source = Source { name: "empty", pieces: &["extern \"C\" __global__ void nothing() {}"] };
    let made = compile::cubin(source, &target, Some(&folder)).unwrap();
    let files = || fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    assert_eq!(files().len(), 1);
    let file = files().remove(0);
    let whole = fs::read(&file).unwrap();
    let damages: [fn(&mut Vec<u8>); 4] = [
        |_| (),
        |bytes| *bytes.last_mut().unwrap() ^= 1,
        |bytes| bytes.truncate(bytes.len() / 2),
        |bytes| bytes.clear(),
    ];
    for damage in damages {
        let mut bytes = whole.clone();
        damage(&mut bytes);
        fs::write(&file, bytes).unwrap();
        assert_eq!(compile::cubin(source, &target, Some(&folder)).unwrap(), made);
        assert_eq!(files(), std::slice::from_ref(&file));
        assert_eq!(fs::read(&file).unwrap(), whole);
    }
    // Another target is another file.
    let other = kernels::target(90, CacheDtype::F16, 64, LAYOUTS[0]);
    compile::cubin(source, &other, Some(&folder)).unwrap();
    assert_eq!(files().len(), 2);
}

#[test]
fn a_folder_that_cannot_be_written_costs_time_alone() {
    if !compiler() {
        return;
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    let target = kernels::target(90, CacheDtype::F32, 64, LAYOUTS[0]);
    let source = Source { name: "empty", pieces: &["extern \"C\" __global__ void nothing() {}"] };
    assert!(compile::cubin(source, &target, Some(file.path())).is_ok());
}
