//! Event files for TensorBoard, read with a decoder of their own: records, checksums, figures.

#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

#[path = "common/place.rs"]
#[expect(dead_code, reason = "other programs of tests use these")]
mod place;

use std::collections::BTreeMap;
use std::path::Path;

use place::Place;

/// CRC-32C bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = !0_u32;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
        }
    }
    !crc
}

fn masked(bytes: &[u8]) -> u32 {
    let crc = crc32c(bytes);
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

/// The data of each record, after its checksums are compared.
fn records(bytes: &[u8]) -> Vec<Vec<u8>> {
    let (mut records, mut rest) = (Vec::new(), bytes);
    while !rest.is_empty() {
        let (length, after) = rest.split_at(8);
        let word = |bytes: &[u8]| u32::from_le_bytes(bytes[..4].try_into().unwrap());
        assert_eq!(word(after), masked(length), "checksum of a length");
        let count = u64::from_le_bytes(length.try_into().unwrap()) as usize;
        let data = &after[4..4 + count];
        assert_eq!(word(&after[4 + count..]), masked(data), "checksum of the data");
        records.push(data.to_vec());
        rest = &after[8 + count..];
    }
    records
}

/// Fields of a message: the number of each, and its bytes; of a number, its eight, four or fewer bytes.
fn fields(mut bytes: &[u8]) -> Vec<(u64, Vec<u8>)> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = bytes[0];
            *bytes = &bytes[1..];
            value |= u64::from(byte & 127) << shift;
            shift += 7;
            if byte < 128 {
                return value;
            }
        }
    }
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let length = match key & 7 {
            0 => {
                let value = varint(&mut bytes);
                fields.push((key >> 3, value.to_le_bytes().to_vec()));
                continue;
            }
            1 => 8,
            2 => varint(&mut bytes) as usize,
            5 => 4,
            other => panic!("wire type {other}"),
        };
        fields.push((key >> 3, bytes[..length].to_vec()));
        bytes = &bytes[length..];
    }
    fields
}

fn field(message: &[u8], number: u64) -> Option<Vec<u8>> {
    fields(message).into_iter().find(|it| it.0 == number).map(|it| it.1)
}

/// Figures of a folder by name and epoch, as TensorBoard takes them: files in the order of their names, and a session's start at an
/// epoch undoes what was told of it and of later ones.
fn figures(folder: &Path) -> BTreeMap<(String, i64), f32> {
    let mut files: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|it| it.unwrap().path()).collect();
    files.sort();
    let mut told = BTreeMap::new();
    for file in files {
        assert!(file.to_str().unwrap().contains("events.out.tfevents."), "{file:?}");
        let records = records(&std::fs::read(&file).unwrap());
        assert_eq!(
            field(&records[0], 3).unwrap(),
            b"brain.Event:2",
            "the first record of {file:?}"
        );
        for record in &records[1..] {
            let time = f64::from_le_bytes(field(record, 1).unwrap().try_into().unwrap());
            assert!(time > 1.7e9, "{time}");
            let step = i64::from_le_bytes(field(record, 2).unwrap().try_into().unwrap());
            if let Some(session) = field(record, 7) {
                assert_eq!(field(&session, 1).unwrap()[0], 1, "a start");
                told.retain(|key: &(String, i64), _| key.1 < step);
            }
            let Some(summary) = field(record, 5) else { continue };
            for (number, value) in fields(&summary) {
                assert_eq!(number, 1);
                let tag = String::from_utf8(field(&value, 1).unwrap()).unwrap();
                let figure = f32::from_le_bytes(field(&value, 2).unwrap().try_into().unwrap());
                told.insert((tag, step), figure);
            }
        }
    }
    told
}

/// Checks that event files have the figures of a history.
fn compare(place: &Place, logs: &str, history: &str, part: Option<usize>) {
    let (train, valid) =
        (figures(&place.path(logs).join("train")), figures(&place.path(logs).join("validation")));
    let text = place.read(history);
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().unwrap().split(',').collect();
    let (mut epochs, mut compared) = (0, 0);
    for line in lines {
        let cells: Vec<&str> = line.split(',').collect();
        if part.is_some_and(|part| cells[0] != part.to_string()) {
            continue;
        }
        epochs += 1;
        let cells = &cells[usize::from(part.is_some())..];
        let names = &names[usize::from(part.is_some())..];
        let epoch: i64 = cells[0].parse().unwrap();
        for (name, cell) in names.iter().zip(cells) {
            let (figures, tag) = match *name {
                "train_loss" => (&train, "loss"),
                "lr" => (&train, "learning rate"),
                other => match other.strip_prefix("valid_") {
                    Some(metric) => (&valid, metric),
                    None => continue,
                },
            };
            let got = figures.get(&(tag.to_string(), epoch)).copied();
            let want = cell.parse::<f64>().ok().map(|it| it as f32);
            assert_eq!(got, want, "{logs}: {tag} of epoch {epoch}");
            compared += 1;
        }
    }
    assert!(epochs > 0 && compared >= 4 * epochs, "{compared} figures of {epochs} epochs");
    let last = train.keys().map(|key| key.1).max().unwrap();
    assert_eq!(last, epochs as i64, "{logs}");
}

fn table() -> String {
    let rows = (0..80).map(|i| format!("{},{},{}\n", i * 37 % 101, i * 53 % 89, i % 2));
    format!("a,b,y\n{}", rows.collect::<String>())
}

#[test]
fn event_files_have_the_figures_of_each_epoch() {
    let place = Place::new();
    place.write("t.csv", &table());
    let rest = "train t.csv --target y --task classify --hidden 4 --seed 1";
    place.ok(&format!("{rest} --epochs 4 --out r --tensorboard --metrics f1,roc_auc"));
    compare(&place, "r/tensorboard", "r/history.csv", None);
    // A run that goes on writes new files; so does one that begins anew, whose figures replace the earlier ones.
    place.ok("resume r --epochs 6 --quiet");
    compare(&place, "r/tensorboard", "r/history.csv", None);
    assert_eq!(std::fs::read_dir(place.path("r/tensorboard/train")).unwrap().count(), 2);
    place.ok(&format!("{rest} --epochs 2 --out r --tensorboard --force"));
    compare(&place, "r/tensorboard", "r/history.csv", None);
    // A folder for several runs has one for each.
    place.ok(&format!("{rest} --epochs 2 --out runs/one --tensorboard=logs"));
    compare(&place, "logs/one", "runs/one/history.csv", None);
    place.ok(&format!("{rest} --epochs 2 --out without"));
    assert!(!place.path("without/tensorboard").exists());
}

#[test]
fn networks_of_several_have_folders_of_their_own() {
    let place = Place::new();
    place.write("t.csv", &table());
    let rest = "--target y --task classify --hidden 4 --epochs 3 --seed 1 --tensorboard";
    place.ok(&format!("train t.csv {rest} --members 2 --out m"));
    place.ok(&format!("train t.csv {rest} --folds 3 --refit --out f"));
    (0..2).for_each(|it| {
        compare(&place, &format!("m/tensorboard/member-{it}"), "m/history.csv", Some(it))
    });
    (0..3).for_each(|it| {
        compare(&place, &format!("f/tensorboard/fold-{it}"), "f/history.csv", Some(it))
    });
    assert!(place.path("f/tensorboard/refit/train").is_dir());
    // A network alone trains the same without them, and a finished one is not trained again.
    place.ok("train --config m/members/1/config.toml --out alone");
    assert_eq!(
        place.bytes("alone/model.safetensors"),
        place.bytes("m/members/1/model.safetensors")
    );
    assert!(!place.path("alone/tensorboard").exists());
    place.write("s.toml", "lr = [1e-3, 1e-2]\n");
    place.ok(&format!("sweep t.csv {rest} --config s.toml --search grid --out w"));
    (0..2).for_each(|it| {
        compare(
            &place,
            &format!("w/tensorboard/trial-{it}"),
            &format!("w/trials/{it}/history.csv"),
            None,
        );
    });
}
