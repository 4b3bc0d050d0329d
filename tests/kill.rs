//! Programs that are killed at random moments, and go on: each run ends as the one that was left alone, byte for byte.

#![cfg(all(feature = "cli", unix))]
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;
#[path = "common/place.rs"]
#[expect(dead_code, reason = "other programs of tests use these")]
mod place;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use place::killed;
use wgrad::Seed;
use wgrad::random::Purpose;

/// Runs that are killed at work, on each device.
const RUNS: usize = 16;

fn table() -> String {
    let mut text = "a,b,c,kind\n".to_string();
    let mut random = Seed(3).stream(Purpose::Synthetic);
    for _ in 0..400 {
        let [a, b, c] = [(); 3].map(|()| random.normal());
        let kind = if a * b > c { "up" } else { "down" };
        writeln!(text, "{a:.4},{b:.4},{c:.4},{kind}").unwrap();
    }
    text
}

/// Returns the options of a run; few epochs on a software adapter, which is slow.
fn settings(device: &str) -> Vec<&str> {
    let epochs = if device == "cpu" { "60" } else { "16" };
    let all = "train t.csv --target kind --hidden 16,8 --lr 0.01 --stop-patience 50 --schedule plateau(patience=2) --metrics roc_auc";
    let mut words: Vec<&str> = all.split(' ').collect();
    words.extend(["--epochs", epochs, "--device", device]);
    words
}

fn program(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wgrad"));
    command.args(args).current_dir(folder).stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

fn ends_well(folder: &Path, args: &[&str]) {
    let output = program(folder, args).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{args:?}: {said}");
    assert!(!said.contains("bit for bit"), "{args:?}: {said}");
}

/// The files of a run without times and its own name.
fn files(run: &Path) -> (Vec<u8>, String, String) {
    let read = |name: &str| fs::read_to_string(run.join(name)).unwrap();
    let history = read("history.csv");
    let history: String = history
        .lines()
        .map(|line| {
            let cells: Vec<&str> = line.split(',').collect();
            cells[..cells.len() - 2].join(",") + "\n"
        })
        .collect();
    let metrics = read("metrics.json");
    let metrics = metrics.lines().filter(|line| !line.contains("seconds")).collect();
    (fs::read(run.join("model.safetensors")).unwrap(), history, metrics)
}

fn kill_and_go_on(device: &str) {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("t.csv"), table()).unwrap();
    let mut random = Seed(17).stream(Purpose::Synthetic);
    let train = |run: &'static str| [settings(device), vec!["--out", run, "--quiet"]].concat();
    // The first run compiles what later ones find in a cache.
    ends_well(folder, &train("whole"));
    let begun = Instant::now();
    ends_well(folder, &[train("whole"), vec!["--force"]].concat());
    let whole = begun.elapsed();
    let want = files(&folder.join("whole"));
    let (mut count, mut tries) = (0, 0);
    while count < RUNS {
        tries += 1;
        assert!(tries < 20 * RUNS, "{device}: only {count} runs were killed at work");
        let run = folder.join("killed");
        let _ = fs::remove_dir_all(&run);
        let at_work = killed(program(folder, &train("killed")), whole.mul_f64(random.unit()));
        if !at_work || !run.join("config.toml").exists() {
            // It was over, or had not begun.
            continue;
        }
        count += 1;
        // Each second run is killed again while it goes on.
        if random.below(2) == 0 {
            killed(program(folder, &["resume", "killed"]), whole.mul_f64(random.unit()));
        }
        ends_well(folder, &["resume", "killed", "--quiet"]);
        assert!(
            files(&run) == want,
            "{device}: a run that went on is another: {:?}",
            files(&run).1
        );
    }
}

#[test]
fn killed_runs_on_the_cpu_end_as_if_they_were_not() {
    kill_and_go_on("cpu");
}

#[cfg(feature = "gpu")]
#[test]
fn killed_runs_on_a_software_adapter_end_as_if_they_were_not() {
    use wgrad::device::DeviceKind;
    if common::gpu_kind() == Some(DeviceKind::Software) {
        kill_and_go_on("software");
    }
}

/// Stderr of a program that must fail with this code.
fn refused(folder: &Path, code: i32, args: &[&str]) -> String {
    let output = program(folder, args).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).to_string();
    assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
    said
}

fn small(run: &'static str) -> Vec<&'static str> {
    let words = "train t.csv --target kind --hidden 8 --epochs 6 --device cpu --quiet --out";
    words.split(' ').chain([run]).collect()
}

#[test]
fn an_interrupted_run_goes_on_within_its_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("t.csv"), table()).unwrap();
    let long = |run: &'static str| {
        let words =
            "train t.csv --target kind --hidden 8 --batch-size 1 --epochs 40 --device cpu --out";
        words.split(' ').chain([run]).collect::<Vec<_>>()
    };
    ends_well(folder, &long("whole"));
    let want = files(&folder.join("whole"));
    let mut child = program(folder, &long("stopped")).spawn().unwrap();
    let written = folder.join("stopped/history.csv");
    while fs::read_to_string(&written).unwrap_or_default().lines().count() < 3 {
        assert!(child.try_wait().unwrap().is_none(), "it ended before it was interrupted");
        std::thread::sleep(Duration::from_millis(1));
    }
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(130) {
        assert!(said.contains("  wgrad resume stopped"), "{said}");
    }
    ends_well(folder, &["resume", "stopped"]);
    assert!(files(&folder.join("stopped")) == want, "{said}");
}

#[test]
fn more_epochs_may_follow_and_other_tables_may_not() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("t.csv"), table()).unwrap();
    ends_well(folder, &small("six"));
    let nine = small("nine").into_iter().map(|word| if word == "6" { "9" } else { word });
    ends_well(folder, &nine.collect::<Vec<_>>());
    ends_well(folder, &["resume", "six", "--epochs", "9"]);
    assert!(files(&folder.join("six")) == files(&folder.join("nine")));
    let said = refused(folder, 2, &["resume", "six", "--epochs", "8"]);
    assert!(said.contains("--epochs: 8, but epoch 9 has begun"), "{said}");
    fs::write(folder.join("t.csv"), table().replacen("up", "down", 1)).unwrap();
    let said = refused(folder, 2, &["resume", "six", "--epochs", "12"]);
    assert!(said.contains("error: six/checkpoint.safetensors: the tables are not those"), "{said}");
}

#[test]
fn damaged_checkpoints_are_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("t.csv"), table()).unwrap();
    ends_well(folder, &small("r"));
    let want = files(&folder.join("r"));
    let (newest, older) =
        (folder.join("r/checkpoint.safetensors"), folder.join("r/checkpoint.1.safetensors"));
    fs::copy(&newest, &older).unwrap();
    let mut bytes = fs::read(&newest).unwrap();
    let at = bytes.len() - 9;
    bytes[at] ^= 4;
    fs::write(&newest, &bytes).unwrap();
    let said = refused(folder, 1, &["resume", "r"]);
    assert!(said.contains("damaged: its checksum is"), "{said}");
    assert!(said.contains("wgrad resume r --checkpoint r/checkpoint.1.safetensors"), "{said}");
    ends_well(folder, &["resume", "r", "--checkpoint", "r/checkpoint.1.safetensors"]);
    assert!(files(&folder.join("r")) == want);
    for path in [&newest, &older] {
        let bytes = fs::read(path).unwrap();
        fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
    }
    let said = refused(folder, 1, &["resume", "r"]);
    assert!(said.contains("no older one can be read") && said.contains("--init r/model"), "{said}");
    // A folder that is no run, and a run without a checkpoint.
    fs::create_dir(folder.join("empty")).unwrap();
    assert!(refused(folder, 1, &["resume", "empty"]).contains("no config.toml in this folder"));
    assert!(refused(folder, 1, &["resume", "nowhere"]).contains("no such folder"));
    ends_well(folder, &[small("none"), vec!["--checkpoint-every", "0"]].concat());
    assert!(!folder.join("none/checkpoint.safetensors").exists());
    assert!(refused(folder, 1, &["resume", "none"]).contains("has kept no checkpoint"));
}

#[test]
fn a_table_that_was_being_kept_is_kept_whole_or_not_at_all() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path();
    let mut text = "a,b,c,d,y\n".to_string();
    let mut random = Seed(5).stream(Purpose::Synthetic);
    for _ in 0..6000 {
        let [a, b, c, d] = [(); 4].map(|()| random.normal());
        writeln!(text, "{a:.3},{b:.3},{c:.3},{d:.3},{:.3}", a - b * c).unwrap();
    }
    fs::write(folder.join("t.csv"), text).unwrap();
    let args = |cache: &'static str| {
        let all = "train t.csv --target y --hidden 4 --epochs 1 --device cpu --host-memory 300KiB --out run --force --table-cache";
        all.split(' ').chain([cache]).collect::<Vec<&str>>()
    };
    let model = || fs::read(folder.join("run/model.safetensors")).unwrap();
    ends_well(folder, &args("none"));
    let want = model();
    let begun = Instant::now();
    ends_well(folder, &args("whole"));
    let whole = begun.elapsed();
    let kept = |cache: &str| {
        let files = fs::read_dir(folder.join(cache)).into_iter().flatten();
        let files = files.map(|file| fs::read(file.unwrap().path()).unwrap());
        files.collect::<Vec<_>>()
    };
    let [good] = &kept("whole")[..] else { panic!("one file") };
    let mut unfinished = 0;
    for _ in 0..RUNS / 2 {
        let _ = fs::remove_dir_all(folder.join("cache"));
        unfinished +=
            usize::from(killed(program(folder, &args("cache")), whole.mul_f64(random.unit())));
        // The file is there whole, or under a name that no run takes for one.
        for file in fs::read_dir(folder.join("cache")).into_iter().flatten() {
            let path = file.unwrap().path();
            if path.extension().is_some_and(|it| it == "wgradtable") {
                assert!(fs::read(&path).unwrap() == *good);
            }
        }
        ends_well(folder, &args("cache"));
        assert!(model() == want);
        assert!(kept("cache").contains(good));
    }
    assert!(unfinished > 0, "no run was killed at work");
}
