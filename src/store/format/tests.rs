use std::{fs, io::Write as _};

use proptest::{prelude::*, test_runner::RngSeed};
use safetensors::{Dtype, SafeTensors};

use super::*;
use crate::{
    corpus::ChunkId,
    store::key::{Fingerprint, SegmentId},
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
    let data = (0..shape.bytes(layout.dtype)).map(|index| (index % 251) as u8).collect();
    KvSegment { shape, dtype: layout.dtype, data }
}

fn file_of(segment: &KvSegment) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(&mut bytes, &key(), segment).unwrap();
    bytes
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
        Opened::open(&self.path, &key())?.read(layout)
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
            Opened::open(&scratch.path, &key()).unwrap().verify().unwrap();
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
        assert_eq!(metadata["version"], "1");
        assert_eq!(metadata["key"], key().to_string());
        assert_eq!(metadata["tokens"], TOKENS.to_string());
        assert_eq!(metadata["blake3"], blake3::hash(&segment.data).to_string());
    }
}

#[test]
fn data_starts_at_a_block_and_the_estimate_is_the_length() {
    let bytes = whole_file();
    let header = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    assert_eq!(header % ALIGNMENT, 0);
    assert_eq!(bytes[header..], segment(&LAYOUT, TOKENS).data);
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
        assert!(Opened::open(&scratch.path, &key()).and_then(|opened| opened.verify()).is_err());
        file.write_all_at(&[*byte], position as u64).unwrap();
    }
    assert_eq!(scratch.read_as_it_is(&LAYOUT).unwrap(), segment(&LAYOUT, TOKENS));
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
        let opened = Opened::open(&scratch.path, &other);
        let result = opened.and_then(|opened| opened.read(&LAYOUT));
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
    let newer = String::from_utf8_lossy(&bytes[8..4096]).replacen(r#""version":"1""#, r#""version":"2""#, 1);
    let newer = [&bytes[..8], newer.as_bytes(), &bytes[4096..]].concat();
    assert!(incompatible(scratch.read(&newer)).contains("version"));
}

#[test]
fn a_header_cannot_make_a_reader_allocate_or_overflow() {
    let scratch = Scratch::new();
    let start_of = |shape, file_bytes: u64| {
        let data_hash = blake3::hash(b"");
        let header = Header { key: key(), shape, dtype: LAYOUT.dtype, data_hash }.to_bytes();
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
    let hash = blake3::hash(b"");
    let mut json = format!(
        r#"{{"__metadata__":{{"version":"1","key":"{}","tokens":"{}","blake3":"{hash}"}}"#,
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
