use std::{
    fs::{self, File, OpenOptions},
    io::Write as _,
    os::unix::fs::FileExt,
};

use proptest::{prelude::*, test_runner::RngSeed};
use safetensors::{Dtype, SafeTensors};

use super::*;
use crate::{
    corpus::ChunkId,
    store::{
        LoadError,
        checksum::Checksum,
        key::{Fingerprint, SegmentId},
        segment_file::SegmentFile,
        write,
    },
};

const LAYOUT: KvLayout =
    KvLayout { layers: 2, kv_heads: 3, head_dim: 4, dtype: CacheDtype::F16, max_tokens: 1000 };
const TOKENS: usize = 5;

fn key() -> KvKey {
    KvKey {
        fingerprint: Fingerprint::from_hex(&"a1".repeat(32)).unwrap(),
        segment: SegmentId::Chunk(ChunkId::of("a chunk")),
    }
}

fn with_dtype(dtype: CacheDtype) -> KvLayout {
    KvLayout { dtype, ..LAYOUT }
}

/// A segment in which no two neighbouring bytes are the same.
fn segment(layout: &KvLayout, tokens: usize) -> KvSegment {
    let shape = layout.shape(tokens);
    let data: Vec<u8> = (0..shape.bytes(layout.dtype)).map(|index| (index % 251) as u8).collect();
    KvSegment { shape, dtype: layout.dtype, data: data.into() }
}

fn file_of(segment: &KvSegment) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("segment");
    write::write(&File::create(&path).unwrap(), &key(), segment).unwrap();
    fs::read(path).unwrap()
}

fn whole_file() -> Vec<u8> {
    file_of(&segment(&LAYOUT, TOKENS))
}

/// A file to read again and again with other contents.
struct Scratch {
    _folder: tempfile::TempDir,
    path: std::path::PathBuf,
}

impl Scratch {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { path: folder.path().join("segment"), _folder: folder }
    }

    fn read(&self, bytes: &[u8]) -> Result<KvSegment, ReadError> {
        fs::write(&self.path, bytes).unwrap();
        self.read_as_it_is(&LAYOUT)
    }

    fn read_as_it_is(&self, layout: &KvLayout) -> Result<KvSegment, ReadError> {
        SegmentFile::open(&self.path, &key())?.of(layout)?.read_segment()
    }
}

#[test]
fn what_was_written_is_read_back_in_every_number_format() {
    for dtype in [CacheDtype::F16, CacheDtype::Bf16, CacheDtype::F32] {
        let (scratch, layout) = (Scratch::new(), with_dtype(dtype));
        // More than one piece, and not a whole number of them.
        for tokens in [1, TOKENS, 1000] {
            let layout = KvLayout { head_dim: 64, layers: 3, ..layout };
            let segment = segment(&layout, tokens);
            fs::write(&scratch.path, file_of(&segment)).unwrap();
            assert_eq!(scratch.read_as_it_is(&layout).unwrap(), segment);
            SegmentFile::open(&scratch.path, &key()).unwrap().verify().unwrap();
        }
    }
}

#[test]
fn any_safetensors_reader_can_read_a_file() {
    for (dtype, expected) in
        [(CacheDtype::F16, Dtype::F16), (CacheDtype::Bf16, Dtype::BF16), (CacheDtype::F32, Dtype::F32)]
    {
        let segment = segment(&with_dtype(dtype), TOKENS);
        let bytes = file_of(&segment);

        let tensors = SafeTensors::deserialize(&bytes).unwrap();

        assert_eq!(tensors.len(), 4);
        for layer in 0..2 {
            let parts = [("key", segment.layer_keys(layer)), ("value", segment.layer_values(layer))];
            for (part, expected_data) in parts {
                let tensor = tensors.tensor(&format!("layer.{layer:03}.{part}")).unwrap();
                assert_eq!(tensor.dtype(), expected);
                assert_eq!(tensor.shape(), [3, TOKENS, 4]);
                assert_eq!(tensor.data(), expected_data);
            }
        }
        let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
        let metadata = metadata.metadata().clone().unwrap();
        assert_eq!(metadata["version"], "2");
        assert_eq!(metadata["key"], key().to_string());
        assert_eq!(metadata["tokens"], TOKENS.to_string());
        let checksums: Vec<String> = segment
            .data
            .chunks(segment.data.len() / 2)
            .map(|layer| format!("{:016x}", Checksum::of(layer)))
            .collect();
        assert_eq!(metadata["crc64_nvme"], checksums.join(" "));
    }
}

#[test]
fn data_starts_at_a_block_and_the_estimate_is_the_length() {
    let bytes = whole_file();
    let header = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    assert_eq!(header % ALIGNMENT, 0);
    assert_eq!(bytes[header..], segment(&LAYOUT, TOKENS).data[..]);
    assert_eq!(LAYOUT.file_bytes(&key(), TOKENS), bytes.len().next_multiple_of(ALIGNMENT) as u64);
}

#[test]
fn a_file_cut_short_at_any_length_is_damaged() {
    let (scratch, bytes) = (Scratch::new(), whole_file());
    scratch.read(&bytes).unwrap();
    for length in (0..bytes.len()).rev() {
        OpenOptions::new().write(true).open(&scratch.path).unwrap().set_len(length as u64).unwrap();
        let error = scratch.read_as_it_is(&LAYOUT).unwrap_err();
        assert!(matches!(error, ReadError::Damaged(_)), "{length} bytes: {error}");
    }
    let mut longer = bytes;
    longer.push(0);
    assert!(matches!(scratch.read(&longer), Err(ReadError::Damaged(_))));
}

#[test]
fn a_flipped_bit_in_any_byte_is_noticed() {
    let (scratch, bytes) = (Scratch::new(), whole_file());
    scratch.read(&bytes).unwrap();
    let file = OpenOptions::new().write(true).open(&scratch.path).unwrap();
    for (position, byte) in bytes.iter().enumerate() {
        let flipped = byte ^ (1 << (position % 8));
        file.write_all_at(&[flipped], position as u64).unwrap();
        let error = scratch.read_as_it_is(&LAYOUT).unwrap_err();
        assert!(
            matches!(error, ReadError::Damaged(_) | ReadError::Incompatible(_)),
            "byte {position}: {error}"
        );
        assert!(SegmentFile::open(&scratch.path, &key()).and_then(|opened| opened.verify()).is_err());
        file.write_all_at(&[*byte], position as u64).unwrap();
    }
    assert_eq!(scratch.read_as_it_is(&LAYOUT).unwrap(), segment(&LAYOUT, TOKENS));
}

#[test]
fn damage_of_a_layer_is_told_when_that_layer_is_read() {
    const LAYERS: usize = 5;
    let layout = KvLayout { layers: LAYERS, ..LAYOUT };
    let (scratch, segment) = (Scratch::new(), segment(&layout, TOKENS));
    let bytes = file_of(&segment);
    let block = segment.data.len() / LAYERS;
    for damaged in 0..LAYERS {
        // Its first byte, of a key, and its last, of a value.
        for place in [0, block - 1] {
            let mut harmed = bytes.clone();
            let position = bytes.len() - segment.data.len() + damaged * block + place;
            harmed[position] ^= 0x80;
            fs::write(&scratch.path, harmed).unwrap();
            let file = SegmentFile::open(&scratch.path, &key()).unwrap().of(&layout).unwrap();
            let mut out = vec![0; block];
            for layer in 0..LAYERS {
                let result = file.read_layer(layer, &mut out);
                if layer == damaged {
                    let told = format!("the checksum of layer {layer} does not match");
                    assert!(matches!(&result, Err(LoadError::Damaged { reason, .. }) if *reason == told));
                } else {
                    result.unwrap();
                    assert_eq!(out, segment.data[layer * block..][..block]);
                }
            }
            assert!(matches!(file.read_all(), Err(LoadError::Damaged { .. })));
            assert!(scratch.path.exists(), "who has the store removes it");
        }
    }
}

#[test]
fn a_checksum_is_no_other_layers() {
    let (scratch, segment) = (Scratch::new(), segment(&LAYOUT, TOKENS));
    let mut bytes = file_of(&segment);
    let block = segment.data.len() / 2;
    let data = bytes.len() - segment.data.len();
    // The two layers' blocks in each other's place.
    bytes[data..].rotate_left(block);
    assert!(matches!(scratch.read(&bytes), Err(ReadError::Damaged(_))));
}

#[test]
fn layers_are_read_by_many_threads_at_once() {
    const LAYERS: usize = 12;
    // Large enough for several pieces, and for the layers to be shared out.
    let layout = KvLayout { layers: LAYERS, kv_heads: 8, head_dim: 64, ..LAYOUT };
    let (scratch, segment) = (Scratch::new(), segment(&layout, 700));
    fs::write(&scratch.path, file_of(&segment)).unwrap();
    let file = SegmentFile::open(&scratch.path, &key()).unwrap().of(&layout).unwrap();
    std::thread::scope(|scope| {
        for first in 0..8 {
            let (file, segment) = (&file, &segment);
            scope.spawn(move || {
                let block = file.layer_bytes();
                let mut out = vec![0; block];
                for layer in (0..2 * LAYERS).map(|step| (first + step) % LAYERS) {
                    file.read_layer(layer, &mut out).unwrap();
                    assert_eq!(out, segment.data[layer * block..][..block]);
                }
            });
        }
    });
    assert_eq!(file.read_all().unwrap(), segment);
}

#[test]
fn reads_past_the_page_cache_give_the_same_or_are_ordinary_reads() {
    // 4096 bytes a token and layer: blocks as a disk wants them; then some that it does not.
    let aligned = KvLayout { kv_heads: 8, head_dim: 128, ..LAYOUT };
    for (layout, is_aligned) in [(aligned, true), (LAYOUT, false)] {
        let (scratch, segment) = (Scratch::new(), segment(&layout, TOKENS));
        fs::write(&scratch.path, file_of(&segment)).unwrap();
        let file = SegmentFile::open(&scratch.path, &key()).unwrap().of(&layout).unwrap().open_direct();
        assert!(!file.is_direct() || is_aligned);
        let block = file.layer_bytes();
        let mut memory = vec![0; block + 2 * ALIGNMENT];
        let start = memory.as_ptr().align_offset(ALIGNMENT);
        for layer in 0..layout.layers {
            for start in [start, start + 1] {
                let out = &mut memory[start..start + block];
                file.read_layer(layer, out).unwrap();
                assert_eq!(*out, segment.data[layer * block..][..block]);
                out.fill(0);
            }
        }
        assert_eq!(file.read_all().unwrap(), segment);

        let mut bytes = fs::read(&scratch.path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&scratch.path, &bytes).unwrap();
        let out = &mut memory[start..start + block];
        assert!(matches!(file.read_layer(layout.layers - 1, out), Err(LoadError::Damaged { .. })));
        OpenOptions::new().write(true).open(&scratch.path).unwrap().set_len(bytes.len() as u64 - 1).unwrap();
        assert!(matches!(file.read_layer(layout.layers - 1, out), Err(LoadError::Damaged { .. })));
    }
}

#[test]
fn large_files_are_written_as_small_ones_are() {
    // Over the size from which files are written past the page cache; neither pieces nor blocks come out even.
    let layout = KvLayout { layers: 3, kv_heads: 5, head_dim: 67, max_tokens: 1 << 20, ..LAYOUT };
    let segment = segment(&layout, 8747);
    assert!(segment.data.len() > 32 << 20);
    let (scratch, bytes) = (Scratch::new(), file_of(&segment));
    let header = bytes.len() - segment.data.len();
    assert!(bytes[header..] == segment.data[..], "no block is missing, out of place or too much");
    fs::write(&scratch.path, bytes).unwrap();
    assert!(scratch.read_as_it_is(&layout).unwrap() == segment);
}

#[test]
fn other_keys_models_and_versions_are_told_from_damage() {
    let (scratch, bytes) = (Scratch::new(), whole_file());
    scratch.read(&bytes).unwrap();
    let incompatible = |result: Result<KvSegment, ReadError>| match result {
        Err(ReadError::Incompatible(reason)) => reason,
        other => panic!("{other:?}"),
    };

    let other_chunk = KvKey { segment: SegmentId::Prefix, ..key() };
    let other_model = KvKey { fingerprint: Fingerprint::from_hex(&"b2".repeat(32)).unwrap(), ..key() };
    for (other, reason) in [(other_chunk, "another chunk"), (other_model, "another model")] {
        let opened = SegmentFile::open(&scratch.path, &other);
        let result = opened.and_then(|opened| opened.of(&LAYOUT)?.read_segment());
        assert!(incompatible(result).contains(reason));
    }
    for other in [
        KvLayout { layers: 3, ..LAYOUT },
        KvLayout { kv_heads: 6, head_dim: 2, ..LAYOUT },
        KvLayout { dtype: CacheDtype::Bf16, ..LAYOUT },
        KvLayout { max_tokens: TOKENS - 1, ..LAYOUT },
    ] {
        incompatible(scratch.read_as_it_is(&other));
    }
    let newer = String::from_utf8_lossy(&bytes[8..4096]).replacen(r#""version":"2""#, r#""version":"3""#, 1);
    let newer = [&bytes[..8], newer.as_bytes(), &bytes[4096..]].concat();
    assert!(incompatible(scratch.read(&newer)).contains("version"));
}

#[test]
fn a_header_cannot_make_a_reader_allocate_or_overflow() {
    let scratch = Scratch::new();
    let start_of = |shape, file_bytes: u64| {
        let header = Header::without_checksums(key(), shape, LAYOUT.dtype).to_bytes();
        let mut file = File::create(&scratch.path).unwrap();
        file.write_all(&header).unwrap();
        file.set_len(header.len() as u64 + file_bytes).unwrap();
    };
    // An honest header of a file that is a hole of 96 GB.
    let tokens = 1_000_000_000;
    start_of(LAYOUT.shape(tokens), LAYOUT.shape(tokens).bytes(LAYOUT.dtype) as u64);
    assert!(matches!(scratch.read_as_it_is(&LAYOUT), Err(ReadError::Incompatible(_))));

    let hostile = |shape: &str, tokens: &str| {
        let text = String::from_utf8(whole_file()[8..4096].to_vec()).unwrap();
        let text =
            text.replace("[3,5,4]", shape).replace(r#""tokens":"5""#, &format!(r#""tokens":"{tokens}""#));
        let mut json = text.trim_end().to_string();
        json.push_str(&" ".repeat(8184 - json.len()));
        [&8184u64.to_le_bytes()[..], json.as_bytes(), &[0; 240]].concat()
    };
    for (shape, tokens) in [
        ("[3,18446744073709551615,4]", "18446744073709551615"),
        ("[18446744073709551615,5,18446744073709551615]", "5"),
        ("[4294967296,5,4294967296]", "5"),
        ("[9223372036854775807,1,1]", "1"),
        ("[3,99999999999999999999999,4]", "99999999999999999999999"),
        ("[3,-5,4]", "-5"),
        ("[3,5.0,4]", "5.0"),
        ("[0,0,0]", "0"),
        ("[]", "5"),
    ] {
        let result = scratch.read(&hostile(shape, tokens));
        assert!(matches!(result, Err(ReadError::Damaged(_))), "{shape}: {result:?}");
    }
    for length in [0, 1, 4087, 4089, 1 << 20, (1 << 32) - 8, u64::MAX - 7, u64::MAX] {
        let mut bytes = whole_file();
        bytes[..8].copy_from_slice(&length.to_le_bytes());
        assert!(matches!(scratch.read(&bytes), Err(ReadError::Damaged(_))), "{length}");
    }
    let nested = [&4088u64.to_le_bytes()[..], "[".repeat(4088).as_bytes()].concat();
    assert!(matches!(scratch.read(&nested), Err(ReadError::Damaged(_))));
}

#[test]
fn links_pipes_and_directories_are_not_read() {
    let scratch = Scratch::new();
    assert!(matches!(scratch.read_as_it_is(&LAYOUT), Err(ReadError::Missing)));

    let target = scratch.path.with_extension("target");
    fs::write(&target, whole_file()).unwrap();
    std::os::unix::fs::symlink(&target, &scratch.path).unwrap();
    assert!(matches!(scratch.read_as_it_is(&LAYOUT), Err(ReadError::Damaged(_))));

    fs::remove_file(&scratch.path).unwrap();
    fs::create_dir(&scratch.path).unwrap();
    assert!(matches!(scratch.read_as_it_is(&LAYOUT), Err(ReadError::Damaged(_))));

    fs::remove_dir(&scratch.path).unwrap();
    let made = std::process::Command::new("mkfifo").arg(&scratch.path).status();
    if made.is_ok_and(|status| status.success()) {
        assert!(matches!(scratch.read_as_it_is(&LAYOUT), Err(ReadError::Damaged(_))));
    }
}

/// A file without data whose header gives `tensors` of one shape.
fn empty_file(tensors: usize, shape: [usize; 3]) -> Vec<u8> {
    let checksum = format!("{:016x}", Checksum::of(b""));
    let checksums = vec![checksum; tensors / 2].join(" ");
    let mut json = format!(
        r#"{{"__metadata__":{{"version":"2","key":"{}","tokens":"{}","crc64_nvme":"{checksums}"}}"#,
        key(),
        shape[1]
    );
    for index in 0..tensors {
        let (layer, part) = (index / 2, ["key", "value"][index % 2]);
        let [a, b, c] = shape;
        let tensor = format!(r#""dtype":"F16","shape":[{a},{b},{c}],"data_offsets":[0,0]"#);
        json += &format!(r#","layer.{layer:03}.{part}":{{{tensor}}}"#);
    }
    json.push('}');
    let length = (json.len() + 8).next_multiple_of(ALIGNMENT) - 8;
    [&(length as u64).to_le_bytes()[..], format!("{json:length$}").as_bytes()].concat()
}

#[test]
fn no_shape_makes_a_reader_panic() {
    let scratch = Scratch::new();
    let sizes = [0, 3, 4, 1 << 62, usize::MAX];
    for tensors in 0..6 {
        for shape in sizes.iter().flat_map(|a| sizes.iter().flat_map(|b| sizes.map(|c| [*a, *b, c]))) {
            let result = scratch.read(&empty_file(tensors, shape));
            // A segment of no tokens is the one of these that is what it says.
            let sound = tensors == 4 && shape == [3, 0, 4];
            assert_eq!(result.is_ok(), sound, "{tensors} tensors of {shape:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        rng_seed: RngSeed::Fixed(0),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_bytes_are_taken_for_a_segment(bytes in proptest::collection::vec(any::<u8>(), 0..9000)) {
        prop_assert!(Scratch::new().read(&bytes).is_err());
    }

    #[test]
    fn a_changed_file_never_gives_other_numbers(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        length in proptest::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = whole_file();
        if let Some(length) = length {
            bytes.truncate(length.index(bytes.len() + 1));
        }
        for (position, value) in changes {
            if !bytes.is_empty() {
                let position = position.index(bytes.len());
                bytes[position] = value;
            }
        }
        match Scratch::new().read(&bytes) {
            Ok(read) => {
                prop_assert_eq!(&bytes, &whole_file());
                prop_assert_eq!(read, segment(&LAYOUT, TOKENS));
            }
            Err(error) => {
                prop_assert!(bytes != whole_file(), "{}", error);
                prop_assert!(matches!(error, ReadError::Damaged(_) | ReadError::Incompatible(_)), "{}", error);
            }
        }
    }
}
