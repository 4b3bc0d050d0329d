//! Tests of the cache of tables: what comes from it is what was read, and nothing else is taken for it.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::fs::FileTimes;

use super::*;
use crate::data::table_options::ColumnRule;
use crate::data::{Dataset, DecimalMark, GapRule, TableFormat};

/// Memory that no table of these tests fits into.
const LITTLE: Option<u64> = Some(500);

/// A folder with a table and a cache.
struct CachedPlace {
    folder: tempfile::TempDir,
}

impl CachedPlace {
    fn new() -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap() };
        place.write(1);
        place
    }

    fn table(&self) -> PathBuf {
        self.folder.path().join("t.csv")
    }

    fn cache(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    /// Writes a table with texts, dates, gaps, numbers of both precisions, groups, parts and weights.
    fn write(&self, first: u32) {
        let part = |i: u32| ["train", "valid", "test"][i as usize % 3];
        let row = |i: u32| {
            let gap = if i.is_multiple_of(7) { String::new() } else { format!("{}", i % 13) };
            format!(
                "{},{gap},town {},2026-01-{:02},{},{},{},{}\n",
                f64::from(i) / 10.0,
                i % 5,
                i % 28 + 1,
                i / 4,
                part(i),
                i % 3 + 1,
                ["yes", "no", "perhaps"][i as usize % 3]
            )
        };
        let rows: String = (first..first + 400).map(row).collect();
        let header = "size,count,town,day,who,part,weight,y";
        fs::write(self.table(), format!("{header}\n{rows}")).unwrap();
    }

    fn options(&self) -> TableOptions {
        TableOptions {
            weight: Some("weight".into()),
            group: Some("who".into()),
            split_column: Some("part".into()),
            table_cache: Some(self.cache()),
            host_memory: LITTLE,
            ..TableOptions::default()
        }
    }

    fn load(&self) -> LoadedTable {
        load(&self.table(), &self.options())
    }

    /// Returns the files of the cache.
    fn files(&self) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> = files_of(&self.cache()).collect();
        files.sort();
        files
    }
}

fn load(path: &Path, options: &TableOptions) -> LoadedTable {
    Dataset::load(path, &Target::Auto("y".into()), options).unwrap()
}

fn is_cached(table: &LoadedTable) -> bool {
    table.notes.iter().any(|note| note.starts_with("read from its cache"))
}

fn is_kept(table: &LoadedTable) -> bool {
    table.notes.iter().any(|note| note.starts_with("kept as numbers"))
}

#[test]
fn a_target_of_the_kind_that_was_found_is_the_same_table() {
    let place = CachedPlace::new();
    let load_as = |target: Target| Dataset::load(place.table(), &target, &place.options());
    assert!(is_kept(&place.load()));
    // As a resumed run names it.
    let class = load_as(Target::Class("y".into())).unwrap();
    assert!(is_cached(&class));
    assert_same(&class, &load_as(Target::Auto("y".into())).unwrap());
    assert_eq!(place.files().len(), 1);
    // A target of another kind is read from the text, where it is found wrong.
    assert!(load_as(Target::Number("y".into())).is_err());
}

/// Compares all of two tables but their notes.
fn assert_same(a: &LoadedTable, b: &LoadedTable) {
    // Gaps are equal to one another here.
    let bits = |table: &LoadedTable| table.data.x().iter().map(f64::to_bits).collect::<Vec<_>>();
    assert!(bits(a) == bits(b));
    assert_eq!(a.data.x().is_single(), b.data.x().is_single());
    let about = |table: &LoadedTable| {
        let data = &table.data;
        let weights = data.weights().map(<[f64]>::to_vec);
        let left_out = (data.left_out, data.skipped.clone());
        let rest = (data.notes.clone(), data.class_lines.clone(), data.inexact.clone());
        (data.schema.clone(), data.raw.clone(), data.y.clone(), weights, left_out, rest)
    };
    assert_eq!(about(a), about(b));
    assert_eq!((&a.data.source, &a.columns), (&b.data.source, &b.columns));
}

#[test]
fn a_table_from_the_cache_is_the_one_that_was_read() {
    let place = CachedPlace::new();
    let plain = load(&place.table(), &TableOptions { table_cache: None, ..place.options() });
    assert!(plain.data.is_stored() && plain.data.raw.is_some() && plain.data.weights().is_some());
    let kept = place.load();
    let cached = place.load();
    assert!(is_kept(&kept) && !is_cached(&kept), "{:?}", kept.notes);
    assert!(is_cached(&cached) && cached.data.is_stored(), "{:?}", cached.notes);
    assert_same(&kept, &plain);
    assert_same(&cached, &plain);
    // A table that memory has room for now comes into memory.
    let roomy = load(&place.table(), &TableOptions { host_memory: None, ..place.options() });
    assert!(is_cached(&roomy) && !roomy.data.is_stored());
    assert_same(&roomy, &plain);
    assert_eq!(place.files().len(), 1);
    let listed = cached_tables(&place.cache());
    let source = fs::canonicalize(place.table()).unwrap().display().to_string();
    assert_eq!(listed[0].source.as_deref(), Some(source.as_str()));
    // Its file is read on though it is deleted, where systems allow it.
    if cfg!(unix) {
        assert_eq!(clear_cached_tables(&place.cache()).unwrap(), (1, listed[0].bytes));
        assert_same(&cached, &plain);
        assert!(is_kept(&place.load()));
    }
}

#[test]
fn all_kinds_of_targets_come_back() {
    let place = CachedPlace::new();
    for target in [
        Target::Number("size".into()),
        Target::Number("size,weight".into()),
        Target::Class("town".into()),
        Target::Auto("day".into()),
    ] {
        let read = |cache: Option<PathBuf>| {
            let options =
                TableOptions { host_memory: LITTLE, table_cache: cache, ..TableOptions::default() };
            Dataset::load(place.table(), &target, &options).unwrap()
        };
        let (plain, kept) = (read(None), read(Some(place.cache())));
        let cached = read(Some(place.cache()));
        assert!(is_kept(&kept) && is_cached(&cached), "{target:?}: {:?}", cached.notes);
        assert_same(&cached, &plain);
        assert_same(&kept, &plain);
    }
}

#[test]
fn a_table_in_memory_is_not_kept() {
    let place = CachedPlace::new();
    let table = load(&place.table(), &TableOptions { host_memory: None, ..place.options() });
    assert!(!table.data.is_stored() && table.notes.is_empty());
    assert!(!place.cache().exists());
}

#[test]
fn a_changed_table_is_read_anew() {
    let place = CachedPlace::new();
    let times = place.table().metadata().unwrap();
    assert!(is_kept(&place.load()));
    let first = place.files();
    // The same number of bytes, and the same time.
    let text = fs::read_to_string(place.table()).unwrap();
    fs::write(place.table(), text.replacen("town 3", "town 4", 1)).unwrap();
    let file = File::options().write(true).open(place.table()).unwrap();
    let times = FileTimes::new().set_modified(times.modified().unwrap());
    file.set_times(times).unwrap();
    let changed = place.load();
    assert!(is_kept(&changed) && !is_cached(&changed));
    let plain = load(&place.table(), &TableOptions { table_cache: None, ..place.options() });
    assert_same(&changed, &plain);
    // The earlier content of the same table is deleted.
    assert_eq!(place.files().len(), 1);
    assert_ne!(place.files(), first);
    // Another table of the same content is the same one.
    let copy = place.folder.path().join("copy.csv");
    fs::copy(place.table(), &copy).unwrap();
    let cached = load(&copy, &place.options());
    assert!(is_cached(&cached));
    assert_eq!(cached.data.source(), copy.display().to_string());
}

#[test]
fn every_setting_counts() {
    let place = CachedPlace::new();
    assert!(is_kept(&place.load()));
    let of = TableOptions::default;
    let others = [
        TableOptions { weight: None, ..place.options() },
        TableOptions { ignore: vec!["town".into()], ..place.options() },
        TableOptions { features: Some(vec!["size".into()]), ..place.options() },
        TableOptions { columns: vec![("count".into(), ColumnRule::OneHot)], ..place.options() },
        TableOptions { missing: Some(vec!["3".into()]), ..place.options() },
        TableOptions { gaps: GapRule::Drop, ..place.options() },
        TableOptions { min_count: 3, ..place.options() },
        TableOptions { one_hot: Some(2), ..place.options() },
        TableOptions { group: None, ..place.options() },
        TableOptions { split_column: None, ..place.options() },
        TableOptions {
            format: TableFormat { decimal: Some(DecimalMark::Point), ..of().format },
            ..place.options()
        },
        TableOptions {
            format: TableFormat { delimiter: Some(','), ..of().format },
            ..place.options()
        },
        TableOptions {
            format: TableFormat { header: Some(true), ..of().format },
            ..place.options()
        },
    ];
    for (known, other) in others.iter().enumerate() {
        let table = load(&place.table(), other);
        assert!(is_kept(&table) && !is_cached(&table), "{other:?}");
        assert_eq!(place.files().len(), known + 2, "{other:?}");
    }
    let target = Target::Class("town".into());
    let table = Dataset::load(place.table(), &target, &place.options()).unwrap();
    assert!(!is_cached(&table));
    // Settings that change no cell do not count.
    let other = TableOptions { host_memory: Some(499), ..place.options() };
    assert!(is_cached(&load(&place.table(), &other)));
}

#[test]
fn a_damaged_file_is_made_again() {
    let place = CachedPlace::new();
    let plain = load(&place.table(), &TableOptions { table_cache: None, ..place.options() });
    assert!(is_kept(&place.load()));
    let file = place.files().remove(0);
    let good = fs::read(&file).unwrap();
    let cut = (0..good.len()).step_by(good.len() / 40).map(|length| good[..length].to_vec());
    let longer = [&good[..], b"1234"].concat();
    let flipped = (0..good.len()).step_by(good.len() / 60).map(|place| {
        let mut bytes = good.clone();
        bytes[place] ^= 1 << (place % 8);
        bytes
    });
    for bytes in cut.chain([longer]).chain(flipped) {
        fs::write(&file, &bytes).unwrap();
        let table = place.load();
        assert!(!is_cached(&table) && is_kept(&table), "{:?}", table.notes);
        assert!(table.notes[0].starts_with("its cache is made again: "), "{:?}", table.notes);
        assert_same(&table, &plain);
        assert!(fs::read(&file).unwrap() == good);
    }
    assert!(is_cached(&place.load()));
}

#[test]
fn unfinished_and_unused_files_go_when_another_is_written() {
    let place = CachedPlace::new();
    fs::create_dir(place.cache()).unwrap();
    let ages = [
        (".0-1-2.wgradtable.7.0.tmp", ABANDONED, true),
        (".0-1-2.wgradtable.8.0.tmp", Duration::ZERO, false),
        ("3-4-5.wgradtable", UNUSED, true),
        ("6-7-8.wgradtable", UNUSED / 2, false),
        ("notes.tmp", UNUSED, false),
    ];
    for (name, age, _) in ages {
        let file = File::create(place.cache().join(name)).unwrap();
        file.set_modified(SystemTime::now() - age - Duration::from_secs(60)).unwrap();
    }
    assert!(is_kept(&place.load()));
    for (name, _, goes) in ages {
        assert_eq!(place.cache().join(name).exists(), !goes, "{name}");
    }
    assert!(is_cached(&place.load()));
    clear_cached_tables(&place.cache()).unwrap();
    // A file that is none of the cache stays.
    assert_eq!(fs::read_dir(place.cache()).unwrap().count(), 1);
}

#[test]
fn a_folder_that_cannot_be_written_is_no_error() {
    let place = CachedPlace::new();
    fs::write(place.cache(), "no folder").unwrap();
    let table = place.load();
    assert!(
        table.notes[0].starts_with("not kept for later runs: cannot write"),
        "{:?}",
        table.notes
    );
    assert!(table.data.is_stored());
}

#[test]
fn runs_at_once_read_the_same_table() {
    let place = CachedPlace::new();
    let plain = load(&place.table(), &TableOptions { table_cache: None, ..place.options() });
    std::thread::scope(|scope| {
        let runs: Vec<_> = (0..6).map(|_| scope.spawn(|| place.load())).collect();
        for run in runs {
            assert_same(&run.join().unwrap(), &plain);
        }
    });
    assert_eq!(place.files().len(), 1);
    assert!(is_cached(&place.load()));
}
