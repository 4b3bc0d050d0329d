//! Tables in parts: through pipes, in order, in memory that does not grow, and with the figures of the whole.

#![cfg(feature = "cli")]
#![expect(clippy::unwrap_used, reason = "a helper that fails fails the test")]

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;
use wgrad::data::{Dataset, PartReader};
use wgrad::train::StreamingEvaluator;
use wgrad::{DeviceKind, Predictor, read_model};

/// A folder with a small table of every kind of target.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        place.write("t.csv", table(300));
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.path(name), text).unwrap();
    }

    fn names(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        names.sort();
        names
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wgrad"));
        command.args(args).args(["--device", "cpu"]).current_dir(self.0.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// A run whose standard input is this.
    fn fed(&self, args: &[&str], input: &[u8]) -> Output {
        let mut child = self.command(args).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                // Whoever refuses a table does not read all of it.
                let _ = stdin.write_all(input);
            });
            child.wait_with_output().unwrap()
        })
    }

    fn ok(&self, args: &[&str], input: &[u8]) -> String {
        let output = self.fed(args, input);
        assert_eq!(output.status.code(), Some(0), "{args:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    /// Returns the message of a run that must fail.
    fn refused(&self, args: &[&str], input: &[u8]) -> String {
        let before = self.names();
        let output = self.fed(args, input);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {said}");
        assert_eq!(self.names(), before, "{args:?} left something behind");
        said
    }

    fn train(&self, run: &str, more: &[&str]) {
        let args = ["train", "t.csv", "--epochs", "3", "--hidden", "8", "--quiet", "--out", run];
        self.ok(&[&args, more].concat(), b"");
    }

    /// A network over the columns `a` and `b` that tells one of two classes.
    fn train_classes(&self) {
        let lines: String = table(300)
            .lines()
            .map(|line| {
                let cells: Vec<&str> = line.split(',').collect();
                format!("{},{},{}\n", cells[1], cells[2], cells[4])
            })
            .collect();
        self.write("t.csv", lines);
        self.train("r", &["--target", "kind"]);
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Rows with an own number each, two features, a weight, and targets of every kind.
fn table(rows: u32) -> String {
    let mut table = "id,a,b,w,kind,sort,up,hot,y,z\n".to_string();
    for i in 0..rows {
        let (a, b) = (f64::from(i % 7) - 3.0, f64::from(i * i % 11) / 2.0 - 2.5);
        let kind = if a + b > 0.1 { "yes" } else { "no" };
        let sort = ["x", "y", "z"][(i % 5 % 3) as usize];
        let (up, hot) = (u8::from(a > b), u8::from(i % 3 == 0));
        let (y, z) = (3.0 * a - 0.5 * b + f64::from(i % 13) / 9.0, a * b);
        writeln!(table, "{i},{a},{b},{},{kind},{sort},{up},{hot},{y},{z}", i % 4).unwrap();
    }
    table
}

#[test]
fn parts_have_the_figures_of_the_whole_to_the_same_bit() {
    let place = Place::new();
    for (run, more) in [
        ("two", &["--target", "kind"][..]),
        ("three", &["--target", "sort", "--class-weights", "balanced", "--weight", "w"]),
        ("labels", &["--target", "up,hot", "--task", "labels"]),
        ("hinge", &["--target", "sort", "--loss", "hinge"]),
        ("number", &["--target", "y", "--weight", "w"]),
        ("numbers", &["--target", "y,z", "--loss", "gaussian-nll"]),
        ("quantiles", &["--target", "y,z", "--loss", "pinball(0.1,0.5,0.9)"]),
    ] {
        // Texts are no features.
        let drop = ["kind", "sort"].into_iter().filter(|name| more[1] != *name);
        place.write("t.csv", without(&table(300), drop));
        place.train(run, more);
        let trained = read_model(place.path(run).join("model.safetensors")).unwrap();
        let schema = &trained.preparation.schema;
        let path = place.path("t.csv");
        let data = Dataset::from_csv_like(&path, schema).unwrap();
        let predictor = Predictor::new(trained.clone()).unwrap();
        let predictor = predictor.on_for_rows(&DeviceKind::Cpu, 64).unwrap();
        let whole = predictor.evaluate_all(&data).unwrap();
        // Every fourth row weighs nothing, and counts as absent.
        let weighted = schema.weight.is_some();
        assert_eq!(whole.metrics.rows, if weighted { 225 } else { 300 });
        for rows in [1, 7, 64, 299] {
            let mut reader = PartReader::open(&path, schema).unwrap();
            let mut assessment = StreamingEvaluator::new(&trained);
            while let Some(part) = reader.next_part(rows).unwrap() {
                predictor.evaluate_chunk(&part, &mut assessment).unwrap();
            }
            assert_eq!(assessment.finish().unwrap(), whole, "{run}, parts of {rows}");
        }
        let usual = predictor.evaluate(&data).unwrap();
        for (metric, want) in usual.entries() {
            let got = whole.metrics.value(metric).unwrap();
            assert!(
                (got - want).abs() <= 1e-12 * (1.0 + want.abs()),
                "{run} {metric}: {got} {want}"
            );
        }
        let defined = whole.metrics.asked.iter().filter(|(_, value)| value.is_some()).count();
        assert!(defined >= 3, "{run}: {defined}");
    }
}

/// A table without these columns.
fn without<'a>(table: &str, names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    let header: Vec<&str> = table.lines().next().unwrap().split(',').collect();
    let line = |line: &str| {
        let cells = line.split(',').zip(&header).filter(|(_, name)| !names.contains(name));
        cells.map(|(cell, _)| cell).collect::<Vec<_>>().join(",") + "\n"
    };
    table.lines().map(line).collect()
}

#[test]
fn tables_go_through_pipes_in_order_as_through_files() {
    let place = Place::new();
    place.train_classes();
    // Many parts.
    let long = table(30_000);
    place.write("long.csv", &long);
    let file = place.ok(&["predict", "r", "long.csv"], b"");
    for threads in ["1", "2", "3"] {
        for args in [&["predict", "r", "-"][..], &["predict", "r", "-", "--out", "-"]] {
            let output = {
                let mut command = place.command(args);
                command
                    .env("RAYON_NUM_THREADS", threads)
                    .stdin(fs::File::open(place.path("long.csv")).unwrap());
                command.output().unwrap()
            };
            assert!(output.stdout == file.as_bytes(), "{args:?} with {threads} threads");
        }
    }
    assert_eq!(place.ok(&["predict", "r", "-"], long.as_bytes()), file);
    assert_eq!(file.lines().count(), 30_001);
    for (i, line) in file.lines().skip(1).enumerate() {
        assert!(line.starts_with(&format!("{i},")), "{i}: {line}");
    }
    place.ok(&["predict", "r", "-", "--out", "p.csv"], long.as_bytes());
    assert_eq!(fs::read_to_string(place.path("p.csv")).unwrap(), file);
    let seconds = |text: String| text.split(",\"seconds\"").next().unwrap().to_string();
    for args in [&["--json"][..], &["--json", "--out", "-"]] {
        let piped = place.ok(&[&["predict", "r", "-"], args].concat(), long.as_bytes());
        let whole = place.ok(&["predict", "r", "long.csv", "--json"], b"");
        assert_eq!(piped.lines().count(), 30_001);
        assert_eq!(seconds(piped), seconds(whole));
    }
    let evaluated = place.ok(&["evaluate", "r", "-", "--json"], long.as_bytes());
    assert!(evaluated.contains("\"rows\":30000"), "{evaluated}");
    assert_eq!(evaluated, place.ok(&["evaluate", "r", "long.csv", "--json"], b""));
}

#[test]
fn what_is_wrong_far_down_a_table_is_told_with_its_line() {
    let place = Place::new();
    place.train_classes();
    let good = without(&table(20_000), ["id", "w", "sort", "up", "hot", "y", "z"].into_iter());
    let with = |row: &str| format!("{good}{row}\n{}", good.split_once('\n').unwrap().1);
    let cell = with("1,x,no");
    place.write("bad.csv", &cell);
    for (input, name) in [("-", "standard input"), ("bad.csv", "bad.csv")] {
        for args in [&["predict", "r", input, "--out", "p.csv"][..], &["evaluate", "r", input]] {
            let said = place.refused(args, cell.as_bytes());
            let want = format!("error: {name}:20002: column `b`: `x` is not a number");
            assert!(said.contains(&want), "{said}");
        }
    }
    let said = place.refused(&["evaluate", "r", "-"], with("1,2,perhaps").as_bytes());
    assert!(said.contains("error: standard input:20002: column `kind`: class `perhaps`"), "{said}");
    // Both infinite together: no weights make it a finite sum.
    let wide = ["--scale", "none", "--hidden", "128,128", "--epochs", "1", "--out", "s"];
    place.ok(&[&["train", "t.csv", "--target", "kind"][..], &wide].concat(), b"");
    let far = with("3e38,-3e38,no");
    for args in [&["predict", "s", "-", "--out", "p.csv"][..], &["evaluate", "s", "-"]] {
        let said = place.refused(args, far.as_bytes());
        assert!(
            said.contains("error: standard input:20002: the prediction for this row"),
            "{said}"
        );
    }
    for args in [&["predict", "r", "-"][..], &["evaluate", "r", "-"]] {
        let said = place.refused(args, b"");
        assert!(said.contains("error: standard input: the file is empty"), "{said}");
        let said = place.refused(args, b"a,b,kind\n");
        assert!(said.contains("error: standard input: a header, but no rows"), "{said}");
    }
}

/// A child whose standard input somebody holds, and its standard output.
#[cfg(unix)]
fn waiting(place: &Place, args: &[&str]) -> (Child, std::process::ChildStdin) {
    let mut child = place.command(args).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(table(10).as_bytes()).unwrap();
    stdin.flush().unwrap();
    (child, stdin)
}

#[cfg(unix)]
#[test]
fn an_interrupt_ends_the_wait_for_a_silent_pipe() {
    let place = Place::new();
    place.train_classes();
    let before = place.names();
    let (mut child, stdin) = waiting(&place, &["predict", "r", "-", "--out", "p.csv"]);
    // It says where it predicts, and begins to listen.
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    assert!(line.starts_with("device  "), "{line}");
    std::thread::sleep(std::time::Duration::from_millis(500));
    let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let said: Vec<String> = stderr.lines().map(Result::unwrap).collect();
    assert_eq!(said.last().unwrap(), "stopped after 0 rows; p.csv was not written");
    assert_eq!(place.names(), before);
    drop(stdin);
}

#[cfg(unix)]
#[test]
fn a_reader_that_leaves_ends_a_stream_without_end() {
    let place = Place::new();
    place.train_classes();
    for args in [&["predict", "r", "-"][..], &["predict", "r", "-", "--json"]] {
        let (mut child, mut stdin) = waiting(&place, args);
        let rows = table(2000);
        let rows = rows.split_once('\n').unwrap().1;
        std::thread::scope(|scope| {
            // Ends when nobody reads any more.
            scope.spawn(move || while stdin.write_all(rows.as_bytes()).is_ok() {});
            let mut first = String::new();
            BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
            assert!(first.starts_with("id,a,b,") || first.starts_with("{\"event\":\"predicted\""));
            let output = child.wait_with_output().unwrap();
            let said = text(&output.stderr);
            assert_eq!(output.status.code(), Some(0), "{said}");
            assert_eq!(said.lines().count(), 1, "{said}");
        });
    }
}

/// The most memory that a command had while this many rows went through it, in KiB.
#[cfg(target_os = "linux")]
fn most_memory(place: &Place, args: &[&str], rows: u32) -> u64 {
    let mut child = place.command(args).stdout(Stdio::null()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let status = Path::new("/proc").join(child.id().to_string()).join("status");
    let feed = move || {
        stdin.write_all(b"a,b,kind\n").unwrap();
        let mut block = String::new();
        for i in 0..rows {
            let (a, b) = (f64::from(i % 1009) / 400.0, f64::from(i % 7919) / 3000.0);
            writeln!(block, "{a},{b},{}", if i % 3 == 0 { "yes" } else { "no" }).unwrap();
            if block.len() > 1 << 16 || i + 1 == rows {
                stdin.write_all(block.as_bytes()).unwrap();
                block.clear();
            }
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(feed);
        let mut most = 0;
        // Of a process that has ended there is no more to read.
        while child.try_wait().unwrap().is_none() {
            let told = fs::read_to_string(&status).unwrap_or_default();
            let line = told.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let size = line.and_then(|line| line.split_whitespace().next());
            most = most.max(size.map_or(0, |size| size.parse().unwrap()));
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert!(most > 1000, "{most}");
        most
    })
}

/// A row takes at least 8 bytes of features, a line's number of 8, and 8 of a score, wherever all rows are kept.
#[cfg(target_os = "linux")]
#[test]
fn memory_does_not_grow_with_rows() {
    let place = Place::new();
    place.train_classes();
    // So many that scores of both classes, which have to be sorted, are more than are kept in memory.
    const FEW: u32 = 1_700_000;
    const MANY: u32 = 3_400_000;
    let limit = u64::from(MANY - FEW) * 8 / 1024 / 2;
    for args in [&["predict", "r", "-", "--quiet"][..], &["evaluate", "r", "-", "--quiet"]] {
        let [few, many] = [FEW, MANY].map(|rows| most_memory(&place, args, rows));
        assert!(many < few + limit, "{args:?}: {few} KiB for {FEW} rows, {many} for {MANY}");
    }
}
