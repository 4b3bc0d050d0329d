//! Files that are damaged or made to do harm: an error with a message, never a panic, and no more memory than they are long.
//!
//! The inputs under `fuzz/corpus` are those that `scripts/fuzz.sh` begins with: each reaches something of its own, or once was
//! a finding.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
#![allow(missing_docs, reason = "a test binary")]

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use memory::within;
use wgrad::data::{FeatureReader, Schema, TargetKind, column_names};
use wgrad::export::read_checkpoint;
use wgrad::{Dataset, Target, read_model};

#[cfg(feature = "parquet")]
use parquet_by_hand::{
    BYTES, Fields, INT32, INT64, PLAIN, column, data, dictionary, file, flat, group, unsigned,
};

#[path = "../fuzz/src/memory.rs"]
#[allow(unreachable_pub, reason = "part of a library there")]
mod memory;
#[cfg(feature = "parquet")]
#[path = "common/parquet_by_hand.rs"]
mod parquet_by_hand;
#[path = "../fuzz/src/targets/mod.rs"]
#[allow(unreachable_pub, reason = "part of a library there")]
#[cfg_attr(
    not(all(feature = "parquet", feature = "xlsx")),
    allow(dead_code, unused_imports, reason = "some tables are read with these features only")
)]
mod targets;

#[global_allocator]
static COUNTING: memory::Counting = memory::Counting;

/// Gives each kept input of a target to its function.
#[expect(clippy::print_stdout, reason = "harnesses show it of a test that failed")]
fn replay(target: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut inputs: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|it| it.unwrap().path()).collect();
    inputs.sort();
    assert!(inputs.len() >= 4, "{} inputs for {target}", inputs.len());
    for path in inputs {
        // The last one that is told of is the one that failed.
        println!("{}", path.display());
        run(&fs::read(path).unwrap());
    }
}

#[test]
fn kept_tables() {
    replay("csv", targets::csv);
}

#[test]
fn kept_arrays() {
    replay("arrays", targets::arrays);
}

#[cfg(feature = "parquet")]
#[test]
fn kept_columns() {
    replay("columns", targets::columns);
}

#[cfg(feature = "xlsx")]
#[test]
fn kept_workbooks() {
    replay("xlsx", targets::xlsx);
}

#[test]
fn kept_files_of_tensors() {
    replay("files", targets::files);
}

#[test]
fn kept_models() {
    replay("model", targets::model);
}

#[test]
fn kept_checkpoints() {
    // The one that they are made of is whole.
    let whole = targets::trained_checkpoint();
    targets::checkpoint(targets::about_of(&whole).as_bytes());
    replay("checkpoint", targets::checkpoint);
}

#[test]
fn kept_texts() {
    replay("text", targets::text);
}

#[test]
fn kept_networks_to_export() {
    replay("onnx", targets::onnx);
}

/// A folder with a table, and a run that was trained on it.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap() };
        let rows = (0..40).map(|row| format!("{},{},{}\n", row % 7, row * 3 % 5, row % 2));
        place.write("t.csv", format!("a,b,y\n{}", rows.collect::<String>()));
        let trained = place.run(&[
            "train", "t.csv", "--target", "y", "--epochs", "2", "--hidden", "3", "--out", "run",
            "--quiet",
        ]);
        assert!(trained.status.success(), "{trained:?}");
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path(name), bytes).unwrap();
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wgrad"));
        command.args(args).current_dir(self.folder.path());
        if ["train", "predict", "evaluate", "resume"].contains(&args[0]) {
            command.args(["--device", "cpu"]);
        }
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// All that reads what stands under a name: as a table, settings, a model, weights, a run, a checkpoint. Each ends with
    /// an error of one line, and leaves nothing.
    fn refused_everywhere(&self, name: &str) {
        let before = self.names();
        for args in [
            &["train", name, "--target", "y"][..],
            &["train", "--config", name, "t.csv", "--target", "y"],
            &["train", "t.csv", "--target", "y", "--valid", name],
            &["train", "t.csv", "--target", "y", "--init", name],
            &["predict", "run", name],
            &["predict", name, "t.csv"],
            &["evaluate", "run", name],
            &["evaluate", name, "t.csv"],
            &["export", name, "--onnx", "out.onnx"],
            &["resume", name],
            &["resume", "run", "--epochs", "3", "--checkpoint", name],
        ] {
            // No settings are settings too.
            if args[1] == "--config" && fs::read(self.path(name)).is_ok_and(|it| it.is_empty()) {
                continue;
            }
            let output = self.run(args);
            let said = String::from_utf8_lossy(&output.stderr);
            let code = output.status.code();
            assert!(matches!(code, Some(1 | 2)), "{args:?}: {code:?} {said}");
            let one = said.trim_end().lines().count() == 1 && said.starts_with("error: ");
            assert!(one && said.len() < 4000, "{args:?}: {said}");
            assert_eq!(self.names(), before, "{args:?}: {said}");
        }
    }

    fn names(&self) -> Vec<PathBuf> {
        let folders = [self.folder.path().to_path_buf(), self.path("run")];
        let inside = |folder| fs::read_dir(folder).unwrap().map(|it| it.unwrap().path());
        let mut names: Vec<_> = folders.iter().flat_map(inside).collect();
        names.sort();
        names
    }
}

#[test]
fn what_is_none_of_it_is_refused_by_all_that_reads() {
    let place = Place::new();
    let model = fs::read(place.path("run/model.safetensors")).unwrap();
    let with_header = |header: &str, data: &[u8]| {
        [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
    };
    let entry = |shape: &str, end: u64| {
        format!(
            "{{\"0.weight\":{{\"dtype\":\"F32\",\"shape\":{shape},\"data_offsets\":[0,{end}]}}}}"
        )
    };
    fs::create_dir(place.path("folder.safetensors")).unwrap();
    for (name, bytes) in [
        ("empty.safetensors", vec![]),
        ("nul.safetensors", vec![0; 100]),
        ("ones.safetensors", vec![0xff; 100]),
        ("cut.safetensors", model[..model.len() - 1].to_vec()),
        ("longer.safetensors", [&model[..], &[0]].concat()),
        ("length.safetensors", [&(model.len() as u64).to_le_bytes(), &model[8..]].concat()),
        ("shape.safetensors", with_header(&entry("[4611686018427387904,4]", 0), &[])),
        ("product.safetensors", with_header(&entry("[4294967296,4294967296]", 16), &[0; 16])),
        ("negative.safetensors", with_header(&entry("[-1]", 16), &[0; 16])),
        ("deep.safetensors", with_header(&"[".repeat(100_000), &[])),
        ("deeper.safetensors", with_header(&format!("{{\"a\":{}", "{\"a\":".repeat(100_000)), &[])),
        ("nan.safetensors", nan(&model)),
        ("deep.csv", "[".repeat(100_000).into_bytes()),
        ("deep.toml.safetensors", format!("layers = {}", "[".repeat(100_000)).into_bytes()),
        ("names.csv", format!("{}\n1\n", "a,".repeat(100_000)).into_bytes()),
    ] {
        place.write(name, bytes);
        place.refused_everywhere(name);
    }
    for name in ["folder.safetensors", "nowhere.safetensors"] {
        place.refused_everywhere(name);
    }
}

/// The same file with a weight that is no number.
fn nan(model: &[u8]) -> Vec<u8> {
    let mut changed = model.to_vec();
    let end = changed.len() - 4;
    changed[end..].copy_from_slice(&f32::NAN.to_le_bytes());
    changed
}

#[cfg(unix)]
#[test]
fn pipes_and_devices_do_not_keep_a_reader_waiting() {
    let place = Place::new();
    let said = |args: &[&str], input: &[u8]| {
        let mut child =
            place.command(args).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // A reader that has seen enough closes its end.
        let _ = child.stdin.take().unwrap().write_all(input);
        let output = child.wait_with_output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    // Neither a model nor a checkpoint is read from what may never end.
    for args in
        [&["predict", "/dev/stdin", "t.csv"][..], &["resume", "run", "--checkpoint", "/dev/stdin"]]
    {
        let (code, text) = said(args, b"x");
        assert!(
            code == Some(1) && text.contains("not an ordinary file"),
            "{args:?}: {code:?} {text}"
        );
    }
    for args in [
        &["train", "/dev/zero", "--target", "y"][..],
        &["train", "/dev/zero"],
        &["predict", "run", "/dev/zero"],
        &["evaluate", "run", "/dev/zero"],
    ] {
        let (code, text) = said(args, b"");
        assert!(matches!(code, Some(1 | 2)), "{args:?}: {code:?} {text}");
        assert!(text.starts_with("error: ") && text.len() < 4000, "{args:?}: {text}");
    }
    let (code, text) = said(&["train", "t.csv", "--target", "y", "--config", "/dev/zero"], b"");
    assert!(code == Some(2) && text.contains("more than 1048576 bytes"), "{code:?} {text}");
    // Settings may come through a pipe.
    let (code, text) =
        said(&["train", "t.csv", "--target", "y", "--config", "/dev/stdin"], b"epochs = 0");
    assert!(code == Some(2) && text.contains("/dev/stdin: epochs"), "{code:?} {text}");
}

/// Changes bytes all over a file, and cuts it at many lengths; whatever it then says, reading it ends well.
fn damaged(bytes: &[u8], name: &str, read: impl Fn(&Path) -> bool) -> usize {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    let mut good = 0;
    let mut try_out = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        good += usize::from(within(targets::allowance(bytes), || read(&path)));
    };
    for place in (0..bytes.len()).step_by(3) {
        for change in [0x01, 0x80] {
            let mut other = bytes.to_vec();
            other[place] ^= change;
            try_out(&other);
        }
    }
    for end in (0..bytes.len()).step_by(7) {
        try_out(&bytes[..end]);
    }
    good
}

#[test]
fn no_damaged_byte_is_more_than_an_error() {
    let place = Place::new();
    let model = fs::read(place.path("run/model.safetensors")).unwrap();
    let good = damaged(&model, "m.safetensors", |path| read_model(path).is_ok());
    assert!(good > 0, "a weight may have another value");
    let checkpoint = targets::trained_checkpoint();
    let good = damaged(&checkpoint, "c.safetensors", |path| read_checkpoint(path).is_ok());
    assert_eq!(good, 0, "the checksum finds every change");
    let table = fs::read(place.path("t.csv")).unwrap();
    let read = |path: &Path| Dataset::from_csv(path, Target::Auto("y".into())).is_ok();
    assert!(damaged(&table, "t.csv", read) > 0, "a cell may have another value");
}

/// Checks the memory that a table takes while it is read.
fn refused_table(bytes: &[u8], part: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.csv");
    fs::write(&path, bytes).unwrap();
    let read = within(targets::allowance(bytes), || {
        Dataset::from_csv(&path, Target::Auto("y".into())).map(|data| data.rows())
    });
    let said = read.unwrap_err().to_string();
    assert!(said.contains(part) && said.len() < 2000, "{part}: {said}");
    let _ = within(targets::allowance(bytes), || column_names(&path).map(drop));
}

#[test]
fn tables_take_no_more_memory_than_they_are_long() {
    let million = 1_000_000;
    let names: String = (0..million).map(|at| format!("{at},")).collect();
    refused_table(format!("{names}y\n").as_bytes(), "a header, but no rows");
    refused_table(format!("{names}y\n1,2\n").as_bytes(), "2 columns, but the header has 1000001");
    refused_table(format!("{names}z\n").as_bytes(), "there is no column `y`");
    refused_table(",".repeat(million).as_bytes(), "there is no column `y`");
    refused_table(format!("y{}", ",".repeat(million)).as_bytes(), "the header ends in a comma");
    refused_table(&vec![0; million], "a NUL byte");
    refused_table(&vec![1; million], "there is no column `y`");
    refused_table(&vec![b'x'; million], "there is no column `y`");
    refused_table(
        format!("a,y\n\"{}", "x\n".repeat(million)).as_bytes(),
        "t.csv:2: a quote opens a cell here and is never closed",
    );
    refused_table(
        format!("a,y\n1,{}\n", "\x01".repeat(million)).as_bytes(),
        "look like an identifier",
    );
    let rows: String = (0..million).map(|row| format!("1,{row}\n")).collect();
    refused_table(format!("a,y\n{rows}x,1\n").as_bytes(), "column `a`: `x` is not a number");
}

#[test]
fn a_row_that_does_not_end_is_refused_before_it_fills_the_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.csv");
    let file = fs::File::create(&path).unwrap();
    // Zeros that are not on disk: 1 GiB.
    file.set_len(1 << 30).unwrap();
    let read = within(1 << 28, || column_names(&path));
    let said = read.unwrap_err().to_string();
    assert!(said.contains("t.csv:1: a NUL byte"), "{said}");
    let schema = Schema {
        features: vec!["x".into()],
        target: "y".into(),
        kind: TargetKind::Number,
        ..Schema::default()
    };
    for (begin, byte, part) in [
        ("", b'x', "endless:1: a row of more than 67108864 bytes"),
        (
            "x\n1,\"",
            b'x',
            "endless:2: a quote opens a cell here and is not closed within 67108864 bytes",
        ),
        ("x\n1", b',', "endless:2: a row of more than 2097152 columns"),
        ("", b',', "endless:1: a row of more than 2097152 columns"),
    ] {
        let bytes = begin.as_bytes().chain(std::io::repeat(byte).take(1 << 30));
        let read = within(1 << 28, || {
            FeatureReader::from_reader(bytes, "endless", &schema)
                .and_then(|mut reader| reader.next_chunk(9))
                .map(drop)
        });
        let said = read.unwrap_err().to_string();
        assert!(said.contains(part), "{said}");
    }
}

/// Reads a file of Parquet's form. Returns the number of cells of its first column, or what the error says.
#[cfg(feature = "parquet")]
fn cells(bytes: &[u8]) -> Result<usize, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.parquet");
    fs::write(&path, bytes).unwrap();
    wgrad::data::inspect(&path).map(|columns| columns[0].cells).map_err(|it| it.to_string())
}

/// Checks that a file is refused with this in the error. A decoder that believes it ends the process, by the memory that it asks for.
#[cfg(feature = "parquet")]
fn refused_parquet(bytes: &[u8], part: &str) {
    let said = cells(bytes).unwrap_err();
    assert!(said.contains("t.parquet: ") && said.contains("copy the file again"), "{part}: {said}");
    assert!(said.contains(part), "{part}: {said}");
}

#[cfg(feature = "parquet")]
#[test]
fn bytes_that_parquet_pages_state_take_no_memory() {
    let numbers = [1_i32, 2, 3].map(i32::to_le_bytes).concat();
    let snappy = [&[12, 11 << 2][..], &numbers].concat();
    let with = |codec, page: &[u8]| file(&flat(INT32), (INT32, codec), page, false);
    assert_eq!(cells(&with(0, &data(&numbers, 12, 3, PLAIN))), Ok(3));
    assert_eq!(cells(&with(1, &data(&snappy, 12, 3, PLAIN))), Ok(3));
    // Snappy, gzip, lz4 in frames, and lz4 alone.
    for codec in [1, 2, 5, 7] {
        refused_parquet(
            &with(codec, &data(&snappy, i32::MAX, 3, PLAIN)),
            "a page of column `y`: its 14 bytes cannot become the 2147483647 that it states",
        );
    }
    // The decoder would read the text's length as the size.
    let text = Fields::default().whole(1, 0).text(2, "size").whole(3, 14).end();
    refused_parquet(&with(1, &text), "a page of column `y`: its description cannot be read");
}

#[cfg(feature = "parquet")]
#[test]
fn numbers_of_values_that_parquet_pages_state_take_no_memory() {
    let part = "bytes cannot hold the 2147483647 values that it states";
    let words = b"\x01\0\0\0a\x01\0\0\0b";
    // Of one bit each, in groups of eight, and one group: the places of three values in the dictionary.
    let places = data(&[1, 3, 0b010], 3, 3, 8);
    let with = |values| {
        file(&flat(BYTES), (BYTES, 0), &[dictionary(words, values), places.clone()].concat(), true)
    };
    assert_eq!(cells(&with(2)), Ok(3));
    refused_parquet(&with(i32::MAX), part);
    refused_parquet(&file(&flat(INT64), (INT64, 0), &dictionary(&[0; 8], i32::MAX), true), part);

    // Blocks of 128 lengths in four parts; so many lengths, and the first one; the others are equal, and have no bits.
    let lengths = |values: u64, first: u64| {
        [&[128, 4, values, 2 * first].map(unsigned).concat()[..], &[0; 5]].concat()
    };
    let texts = [lengths(3, 1), b"abc".to_vec()].concat();
    let ends = [lengths(3, 0), texts.clone()].concat();
    // Texts after all lengths, and texts that begin as the one before does.
    let with = |encoding, body: &[u8]| {
        let page = data(body, body.len() as i32, 3, encoding);
        file(&flat(BYTES), (BYTES, 0), &page, false)
    };
    assert_eq!(cells(&with(6, &texts)), Ok(3));
    assert_eq!(cells(&with(7, &ends)), Ok(3));
    let many = lengths(1 << 40, 1);
    let part = "bytes cannot hold the 1099511627776 values that it states";
    refused_parquet(&with(6, &many), part);
    refused_parquet(&with(7, &many), part);
    refused_parquet(&with(7, &[lengths(3, 0), many].concat()), part);
}

#[cfg(feature = "parquet")]
#[test]
fn groups_that_parquet_files_state_take_no_memory() {
    let page = data(&[0; 12], 12, 3, PLAIN);
    let many = [group("rows", i32::MAX), column(INT32)];
    refused_parquet(
        &file(&many, (INT32, 0), &page, false),
        "a group of columns has fewer than it states",
    );
    let deep: Vec<_> = (0..100_000).map(|_| group("g", 1)).chain([column(INT32)]).collect();
    refused_parquet(
        &file(&deep, (INT32, 0), &page, false),
        "more than 64 groups stand within each other",
    );
}
