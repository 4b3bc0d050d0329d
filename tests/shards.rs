//! Sweeps in shards: merged, they leave what the undivided sweep leaves, byte for byte but for times; whatever does not fit is refused.

#![cfg(all(feature = "cli", feature = "pictures"))]
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

#[path = "common/place.rs"]
#[expect(dead_code, reason = "other programs of tests use these")]
mod place;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Instant;

use place::{Place, killed};
use serde_json::Value;
use wgrad::Seed;
use wgrad::random::Purpose;

/// Shards that are killed at work.
const KILLED: usize = 2;

/// With a rate of 1e30 a trial cannot be trained.
const GRID: &str =
    "epochs = 3\nhidden = [[4], [4, 2]]\noptimizer = \"sgd\"\nlr = [0.1, 1e30, 0.01]\n";
const RANGES: &str = "epochs = 4\nlr = { log = [1e-4, 1e-1] }\nbatch-size = { integer = [16, 64] }\nhidden = [[8], [8, 4]]\n";

/// Returns a folder with a table of 60 rows and files of ranges.
fn tables() -> Place {
    let place = Place::new();
    let mut random = Seed(9).stream(Purpose::Synthetic);
    let mut table = "a,b,y\n".to_string();
    for _ in 0..60 {
        let [a, b] = [(); 2].map(|()| random.normal());
        writeln!(table, "{a:.4},{b:.4},{:.4}", 10.0 + 3.0 * a - b).unwrap();
    }
    place.write("t.csv", &table);
    place.write("s.toml", RANGES);
    place.write("g.toml", GRID);
    place
}

/// Returns the rows of a table without the columns of times.
fn without_times(text: &str) -> String {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let kept: Vec<usize> =
        (0..rows[0].len()).filter(|&it| !rows[0][it].contains("second")).collect();
    rows.iter()
        .map(|row| format!("{:?}\n", kept.iter().map(|&it| &row[it]).collect::<Vec<_>>()))
        .collect()
}

/// Returns the files of a folder with what they hold but times. Checkpoints, which have times within, are left out.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    fn walk(root: &Path, folder: &Path, all: &mut BTreeMap<String, Vec<u8>>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(root, &path, all);
                continue;
            }
            let name = path.strip_prefix(root).unwrap().display().to_string();
            let text = || fs::read_to_string(&path).unwrap();
            let bytes = match path.file_name().unwrap().to_str().unwrap() {
                own if own.starts_with("checkpoint") => continue,
                "sweep.csv" | "history.csv" => without_times(&text()).into(),
                "metrics.json" => {
                    let mut figures: Value = serde_json::from_str(&text()).unwrap();
                    figures.as_object_mut().unwrap().retain(|key, _| !key.contains("second"));
                    figures.to_string().into()
                }
                "report.html" => {
                    let page = text();
                    let told = page.lines().filter(|it| !it.contains("of training together"));
                    // Warnings stand in the order in which trials came to them.
                    let mut told: Vec<&str> = told.collect();
                    told.sort_unstable();
                    told.join("\n").into()
                }
                _ => fs::read(&path).unwrap(),
            };
            all.insert(name, bytes);
        }
    }
    let mut all = BTreeMap::new();
    walk(folder, folder, &mut all);
    all
}

/// Returns the files that differ between a merged sweep and the whole one, which has the same name in another place.
fn differing(whole: &Place, merged: &Place) -> Vec<String> {
    let [want, found] = [whole, merged].map(|it| files(&it.path("w")));
    assert!(want.len() > 10, "{:?}", want.keys());
    assert!(want.keys().eq(found.keys()), "{:?} {:?}", want.keys(), found.keys());
    want.into_iter().filter(|(name, bytes)| found[name] != *bytes).map(|it| it.0).collect()
}

fn assert_same(whole: &Place, merged: &Place) {
    assert_eq!(differing(whole, merged), Vec::<String>::new());
}

/// The report of a sweep that went on lacks the warnings of trials that were finished.
fn assert_same_but_warnings(whole: &Place, merged: &Place) {
    let other = differing(whole, merged);
    assert!(other.iter().all(|it| it == "report.html"), "{other:?}");
}

/// A recipe has other settings for classes than for numbers: the record of a shard says which, so that the merge needs no table.
#[test]
fn shards_of_a_recipe_are_merged_without_their_table() {
    let place = tables();
    place.write("s.toml", "recipe = \"realmlp\"\nhidden = [4]\nepochs = 2\nlr = [0.1, 0.01]\n");
    for shard in 1..=2 {
        place
            .ok(&format!("sweep t.csv --target y --config s.toml --search grid --shard {shard}/2"));
    }
    fs::remove_file(place.path("t.csv")).unwrap();
    place.ok("sweep --merge runs/t-sweep-1-of-2 runs/t-sweep-2-of-2 --out w");
    let config = place.read("w/trials/0/config.toml");
    // As for numbers.
    assert!(config.contains("stop-metric = \"rmse\""), "{config}");
}

#[test]
fn merged_shards_are_the_undivided_sweep() {
    for (options, counts) in [
        ("--config s.toml --trials 5", &[2, 3][..]),
        ("--config g.toml --search grid", &[2, 3]),
        ("--config s.toml --trials 3 --folds 2 --stop-metric mae", &[2]),
    ] {
        let whole = tables();
        let sweep = format!("sweep t.csv --target y {options}");
        let (told, _) = whole.ok(&format!("{sweep} --out w"));
        for &of in counts {
            let place = tables();
            let mut folders = Vec::new();
            for shard in 1..=of {
                let told = place.out(&format!("{sweep} --shard {shard}/{of}"));
                assert!(told.contains(&format!("shard {shard} of {of} has ")), "{told}");
                assert!(!told.contains("the best one is ready"), "{told}");
                let folder = format!("runs/t-sweep-{shard}-of-{of}");
                let page = place.read(&format!("{folder}/report.html"));
                assert!(page.contains(&format!("this is shard {shard} of {of} alone")), "{page}");
                // All trials of a shard of the grid fail.
                let best = page.contains(&format!(" in shard {shard} of {of}: "));
                assert!(best != page.contains("no trial came to its end"), "{page}");
                assert!(!page.contains("trials have ended") && !page.contains("Train the best"));
                folders.insert(0, folder);
            }
            let merge = format!("sweep --merge {} --out w", folders.join(" "));
            let (merged, said) = place.ok(&merge);
            assert_eq!(merged, told, "{options} {of}");
            assert!(!said.contains("warning"), "{said}");
            assert_same(&whole, &place);
            // It is a sweep as any other: the best one predicts, and nothing is trained again.
            let best = told.split("w/trials/").nth(1).unwrap().split(';').next().unwrap();
            place.out(&format!("predict w/trials/{best} t.csv"));
            place.out("resume w --quiet");
            assert_same_but_warnings(&whole, &place);
            place.out(&format!("{merge} --force --quiet"));
            assert_same(&whole, &place);
        }
    }
}

#[test]
fn shards_run_side_by_side_and_end_as_if_they_were_not_killed() {
    let (whole, place) = (tables(), tables());
    let sweep = "sweep t.csv --target y --config s.toml --trials 5 --quiet";
    whole.out(&format!("{sweep} --out w"));
    // Two at once, in one place.
    let begun = Instant::now();
    let run = |shard: usize| place.command(&format!("{sweep} --shard {shard}/2 --out {shard}"));
    let mut children = [1, 2].map(|shard| run(shard).spawn().unwrap());
    let ended = children.each_mut().map(|it| it.wait().unwrap().success());
    let taken = begun.elapsed();
    assert_eq!(ended, [true, true]);
    place.out("sweep --merge 1 2 --out w --quiet");
    assert_same(&whole, &place);
    let mut random = Seed(31).stream(Purpose::Synthetic);
    let (mut count, mut tries) = (0, 0);
    while count < KILLED {
        tries += 1;
        assert!(tries < 20 * KILLED, "only {count} shards were killed at work");
        let _ = fs::remove_dir_all(place.path("1"));
        let at_work = killed(run(1), taken.mul_f64(random.unit()));
        let over = !at_work || place.path("1/shard.json").exists();
        if over || !place.path("1/sweep.toml").exists() {
            // It was over, or had not begun.
            continue;
        }
        count += 1;
        let said = place.refused("sweep --merge 1 2 --out w --force");
        assert!(said.contains("1: shard 1 of 2 has not ended; `wgrad resume 1` goes on"), "{said}");
        place.out("resume 1 --quiet");
        place.out("sweep --merge 1 2 --out w --force --quiet");
        assert_same_but_warnings(&whole, &place);
    }
    // A table that is no longer the same.
    place.write("t.csv", &place.read("t.csv").replace("a,b,y\n", "a,b,y\n1,1,12\n"));
    let said = place.refused("resume 1 --quiet");
    assert!(said.contains("t.csv: the table is not as it was when the sweep began"), "{said}");
}

#[test]
fn missing_shards_are_left_out_in_words_only() {
    let (whole, place) = (tables(), tables());
    let sweep = "sweep t.csv --target y --config s.toml --trials 5";
    whole.out(&format!("{sweep} --out w --quiet"));
    for shard in [1, 3] {
        place.out(&format!("{sweep} --shard {shard}/3 --out {shard} --quiet"));
    }
    let said = place.refused("sweep --merge 1 3 --out w");
    assert!(
        said.contains(
            "--merge: shard 2 of 3 is missing; give their folders too, train them with --shard 2/3"
        ),
        "{said}"
    );
    assert!(!place.path("w").exists());
    let (_, said) = place.ok("sweep --merge 1 3 --out w --allow-missing");
    assert!(
        said.contains(
            "shard 2 of 3 is missing: the best trial is that of 3 of 5 trials; `wgrad resume w`"
        ),
        "{said}"
    );
    let rows = place.read("w/sweep.csv");
    let trials: Vec<&str> = rows.lines().skip(1).map(|it| it.split(',').next().unwrap()).collect();
    assert_eq!(trials, ["0", "2", "3"]);
    assert!(place.read("w/report.html").contains("3 of 5 trials have ended"));
    // The others are trained there.
    place.out("resume w --quiet");
    let table = |place: &Place| without_times(&place.read("w/sweep.csv"));
    assert_eq!(table(&place), table(&whole));
}

#[test]
fn what_does_not_fit_is_refused() {
    let place = tables();
    let sweep = "sweep t.csv --target y --config s.toml --trials 4 --quiet";
    for (options, want) in [
        ("--shard 0/2", "--shard: 0/2: shards are numbered from 1 to 2"),
        ("--shard 3/2", "--shard: 3/2: shards are numbered from 1 to 2"),
        ("--shard two", "--shard: \"two\" is no shard"),
        ("--allow-missing", "--allow-missing: it changes nothing without --merge"),
        ("--shard 1/5", "--shard: 5 shards, but the sweep has only 4 trials"),
        ("--shard 1/2 --search halving", "--shard: halving compares all trials"),
    ] {
        let said = place.refused(&format!("{sweep} {options} --out r"));
        assert!(said.contains(want), "{options}: {said}");
        assert!(!place.path("r").exists(), "{options}");
    }
    place.out(&format!("{sweep} --shard 1/2 --out 1"));
    place.out(&format!("{sweep} --shard 1/2 --out again"));
    place.out(&format!("{sweep} --out whole"));
    place.out(
        "sweep t.csv --target y --config s.toml --trials 4 --quiet --seed 5 --shard 2/2 --out seed",
    );
    place.out("sweep t.csv --target y --config s.toml --trials 3 --quiet --shard 2/2 --out count");
    place.out(&format!("{sweep} --shard 2/3 --out thirds"));
    place.write("s.toml", &RANGES.replace("1e-1", "1e-2"));
    place.out(&format!("{sweep} --shard 2/2 --out ranges"));
    place.write("s.toml", RANGES);
    place.write("t.csv", &place.read("t.csv").replace("a,b,y\n", "a,b,y\n1,1,12\n"));
    place.out(&format!("{sweep} --shard 2/2 --out table"));
    place.out(&format!("{sweep} --shard 1/2 --out twice"));
    fs::create_dir(place.path("empty")).unwrap();
    for (folders, want) in [
        ("nowhere", "nowhere: no such folder"),
        ("empty", "empty: no sweep.toml in this folder"),
        ("1 whole", "whole: a whole sweep, which is no shard"),
        ("1 seed", "seed: not a shard of the same sweep as 1: seed: \"5\", and there not given"),
        ("1 count", "number of trials: 3, and there 4"),
        ("1 thirds", "number of shards: 3, and there 2"),
        ("1 ranges", "lr: { log = [0.0001, 0.01] }, and there { log = [0.0001, 0.1] }"),
        ("1 table", "the table: \"t.csv\" with other contents"),
        ("twice table 1", "1: not a shard of the same sweep as twice"),
        ("1 1", "--merge: 1 is given twice"),
        ("1 again", "--merge: shard 1 of 2 is given twice: 1 and again"),
        ("twice table --out table --force", "--out: table is a shard"),
        ("twice table --lr 0.1", "--lr: it changes nothing with --merge"),
        ("twice table --config s.toml", "--config: it changes nothing with --merge"),
    ] {
        let out = if folders.contains("--out") { "" } else { " --out m" };
        let said = place.refused(&format!("sweep --merge {folders}{out}"));
        assert!(said.contains(want), "{folders}: {said}");
        assert!(!place.path("m").exists(), "{folders}");
    }
    assert!(place.refused("sweep --merge twice table").contains("--out: missing"));
    // Figures that were changed by hand.
    let rows = place.read("table/sweep.csv");
    let mut lines: Vec<&str> = rows.lines().collect();
    lines.pop();
    place.write("table/sweep.csv", &(lines.join("\n") + "\n"));
    let said = place.refused("sweep --merge twice table --out m");
    assert!(said.contains("table/sweep.csv: it does not have a row for each trial"), "{said}");
    // Devices that are not the same are told.
    place.write("table/sweep.csv", &rows);
    let end = place.read("table/shard.json");
    let mut end: Value = serde_json::from_str(&end).unwrap();
    end["device"] = "Other".into();
    place.write("table/shard.json", &end.to_string());
    let (_, said) = place.ok("sweep --merge twice table --out m");
    assert!(said.contains("different devices") && said.contains("Other (shard 2)"), "{said}");
    assert!(place.read("m/report.html").contains("Other (shard 2)"));
}
