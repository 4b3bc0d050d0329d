//! Checkpoints as users meet them: the best epoch's, those within epochs, those that cannot be written, and folders in use.

#![cfg(all(feature = "cli", unix))]
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use wgrad::Seed;
use wgrad::export::read_checkpoint;
use wgrad::random::{Purpose, Random};

/// A folder with a table.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut text = "a,b,c,kind\n".to_string();
    let mut random: Random = Seed(3).stream(Purpose::Synthetic);
    for _ in 0..400 {
        let [a, b, c] = [(); 3].map(|()| random.normal());
        let kind = if a * b > c { "up" } else { "down" };
        writeln!(text, "{a:.4},{b:.4},{c:.4},{kind}").unwrap();
    }
    fs::write(folder.path().join("t.csv"), text).unwrap();
    folder
}

fn program(folder: &Path, words: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wgrad"));
    command.args(words.split(' ')).current_dir(folder).stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

const TRAIN: &str = "train t.csv --target kind --hidden 8 --device cpu --out";

/// Stderr of a program that must end with this code.
fn ends(folder: &Path, code: i32, words: &str) -> String {
    let output = program(folder, words).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).to_string();
    assert_eq!(output.status.code(), Some(code), "{words}: {said}");
    said
}

/// The files of a run without times and what says when it stopped.
fn files(run: &Path) -> (Vec<u8>, String, String) {
    let read = |name: &str| fs::read_to_string(run.join(name)).unwrap();
    let history = read("history.csv");
    let timeless = |line: &str| line.rsplitn(3, ',').last().unwrap().to_string() + "\n";
    let metrics = read("metrics.json");
    let metrics = metrics.lines().filter(|line| !line.contains("seconds")).collect();
    (
        fs::read(run.join("model.safetensors")).unwrap(),
        history.lines().map(timeless).collect(),
        metrics,
    )
}

fn best(run: &Path) -> PathBuf {
    run.join("checkpoint.best.safetensors")
}

#[test]
fn the_best_epoch_has_a_checkpoint_of_its_own() {
    let folder = folder();
    let folder = folder.path();
    // So fast that later epochs are worse; captured each epoch, whatever there is on disk of the others.
    let fast = "--keep best --lr 0.3 --epochs 12 --keep-checkpoints 1 --checkpoint-every 5";
    ends(folder, 0, &format!("{TRAIN} r {fast}"));
    let (run, other) = (folder.join("r"), folder.join("s"));
    let want = files(&run);
    let epoch = read_checkpoint(best(&run)).unwrap().epoch();
    assert!((1..12).contains(&epoch), "{epoch}");
    assert!(want.2.contains(&format!("\"epoch\": {epoch},")), "{}", want.2);
    // It is no candidate for the newest, and whoever names it goes on from there.
    let said = ends(folder, 0, "resume r");
    assert!(said.contains("goes on from the end of epoch 12 of 12"), "{said}");
    assert!(best(&run).exists() && files(&run) == want);
    let said = ends(folder, 0, "resume r --checkpoint r/checkpoint.best.safetensors");
    assert!(said.contains(&format!("goes on from the end of epoch {epoch} of 12")), "{said}");
    assert!(files(&run) == want && read_checkpoint(best(&run)).unwrap().epoch() == epoch, "{said}");
    // A run that goes on from before that epoch has it no more until it gets there.
    ends(folder, 0, &format!("{TRAIN} s {} --stop-patience 12", fast.replace("12", "1")));
    let first = best(&other);
    fs::rename(&first, folder.join("first.safetensors")).unwrap();
    fs::copy(best(&run), &first).unwrap();
    let said = ends(folder, 0, "resume s --checkpoint first.safetensors --epochs 1");
    assert!(said.contains("goes on from the end of epoch 1 of 1"), "{said}");
    assert!(epoch == 1 || !first.exists(), "of epoch {epoch}");
    // Where the last epoch is kept there is none.
    ends(folder, 0, &format!("{TRAIN} last --epochs 3 --keep last"));
    assert!(folder.join("last/checkpoint.safetensors").exists());
    assert!(!best(&folder.join("last")).exists());
}

#[test]
fn minutes_make_checkpoints_within_an_epoch() {
    let folder = folder();
    let folder = folder.path();
    // One epoch: whatever there is on disk before its end is within it.
    let long = "--epochs 1 --batch-size 1 --checkpoint-every 0 --checkpoint-minutes 0.000001";
    ends(folder, 0, &format!("{TRAIN} whole {long}"));
    let want = files(&folder.join("whole"));
    let newest = folder.join("r/checkpoint.safetensors");
    let mut within = false;
    for _ in 0..20 {
        let _ = fs::remove_dir_all(folder.join("r"));
        let mut child = program(folder, &format!("{TRAIN} r {long} --quiet")).spawn().unwrap();
        while !newest.exists() && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_micros(200));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let checkpoint = read_checkpoint(&newest).unwrap();
        assert!(checkpoint.epoch() == 0 || checkpoint.step() == 0);
        within |= checkpoint.step() > 0;
        let said = ends(folder, 0, "resume r");
        assert!(files(&folder.join("r")) == want, "{said}");
    }
    assert!(within, "no run had a checkpoint within its epoch");
}

#[test]
fn a_run_that_early_stopping_ended_goes_on_with_more_patience() {
    let folder = folder();
    let folder = folder.path();
    let fast = "--lr 0.3 --epochs 20 --stop-patience";
    let said = ends(folder, 0, &format!("{TRAIN} r {fast} 2"));
    assert!(said.contains("stopped after epoch"), "{said}");
    let stopped = files(&folder.join("r"));
    // As it was, it is over, and says how to go on.
    let said = ends(folder, 0, "resume r");
    assert!(said.contains("stopped after epoch"), "{said}");
    assert!(said.contains("  wgrad resume r --stop-patience 4"), "{said}");
    assert!(files(&folder.join("r")) == stopped);
    // With more patience it is the run that had it all along; without any too, which keeps the best epoch all the same.
    ends(folder, 0, &format!("{TRAIN} five {fast} 5"));
    let said = ends(folder, 0, "resume r --stop-patience 5");
    assert!(!said.contains("bit for bit"), "{said}");
    assert!(files(&folder.join("r")) == files(&folder.join("five")), "{said}");
    ends(folder, 0, &format!("{TRAIN} all --lr 0.3 --epochs 20 --keep best"));
    let said = ends(folder, 0, "resume r --stop-patience none");
    assert!(!said.contains("bit for bit"), "{said}");
    assert!(files(&folder.join("r")) == files(&folder.join("all")), "{said}");
    let said = ends(folder, 2, "resume r --stop-patience 0");
    assert!(said.contains("--stop-patience: 0, but it must be above 0"), "{said}");
}

#[test]
fn a_folder_in_use_is_refused() {
    let folder = folder();
    let folder = folder.path();
    let mut child =
        program(folder, &format!("{TRAIN} r --batch-size 1 --epochs 100000")).spawn().unwrap();
    while !folder.join("r/checkpoint.safetensors").exists() {
        assert!(child.try_wait().unwrap().is_none(), "it ended before it was looked at");
        std::thread::sleep(Duration::from_millis(1));
    }
    for words in ["resume r".to_string(), format!("{TRAIN} r --force --epochs 1")] {
        let said = ends(folder, 1, &words);
        assert!(said.contains("another wgrad is training in this folder"), "{said}");
    }
    // SIGTERM is heard as Ctrl-C is, and leaves a run that goes on.
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(130) && said.contains("  wgrad resume r"), "{said}");
    let step = read_checkpoint(folder.join("r/checkpoint.safetensors")).unwrap();
    let epochs = step.epoch() + 1;
    let said = ends(folder, 0, &format!("resume r --epochs {epochs}"));
    assert!(said.contains("the run goes on from"), "{said}");
}

/// A file system without room for checkpoints, which are larger than models.
#[test]
fn checkpoints_that_cannot_be_written_end_no_run() {
    let folder = folder();
    let folder = folder.path();
    let wide = "train t.csv --target kind --hidden 64,64 --device cpu --epochs 4 --out";
    ends(folder, 0, &format!("{wide} whole"));
    // Blocks of 512 or 1,024 bytes: between 20 kB of a model and 80 kB of a checkpoint.
    let limited = format!(
        "trap '' XFSZ; ulimit -f 60; exec {} {wide} r",
        env!("CARGO_BIN_EXE_wgrad").replace(' ', "\\ ")
    );
    let output = Command::new("sh").args(["-c", &limited]).current_dir(folder).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("warning: cannot write r/.checkpoint.new: File too large"), "{said}");
    assert!(
        said.contains("training goes on") || said.contains("from an earlier checkpoint only"),
        "{said}"
    );
    assert!(files(&folder.join("r")) == files(&folder.join("whole")), "{said}");
    let names = fs::read_dir(folder.join("r")).unwrap();
    let names: Vec<String> =
        names.map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
    assert!(names.iter().all(|name| !name.contains("checkpoint")), "{names:?}");
}
