//! Options that would change nothing beside others: each is refused, or a warning says so.
//!
//! The table names every option of every command, so that a new one has to be thought about.

#![cfg(all(feature = "cli", feature = "pictures"))]
#![expect(clippy::unwrap_used, reason = "a helper that fails fails the test")]

#[path = "common/place.rs"]
#[expect(dead_code, reason = "other programs of tests use these")]
mod place;

use std::collections::BTreeSet;

use clap::CommandFactory;
use place::Place;
use wgrad::cli::Cli;

/// Options that change what a command does, whatever else is given.
const ALWAYS: &str = "\
    train: duplicates gaps weight-decay target ignore valid weight features columns task scale hidden init optimizer lr epochs batch-size seed loss reduction \
    clip-norm clip-value average schedule warmup freeze groups metrics shuffle device precision device-memory host-memory table-cache out \
    checkpoint-every checkpoint-minutes config json quiet force layers help members folds split-seed no-report view tensorboard recipe \
    time-budget
    resume: stop-patience epochs device table checkpoint tensorboard no-report view json quiet
    evaluate: weights device report json quiet
    predict: weights out device json quiet
    inspect: columns ignore missing one-hot min-count json
    info: json
    plot: what out json quiet
    report: out json quiet
    calibrate: out force json quiet
    find-lr: from to rates steps picture
    sweep: search shard merge no-report view
    tune: trials one no-report view
    export: onnx weights force json quiet
    adapters: json
    cache: table-cache json
    verify: device json quiet
    bench: device workload network precision seconds profile predict no-verify json quiet";

/// Commands that take the options of a training beside their own.
const AS_TRAIN: [&str; 3] = ["find-lr", "sweep", "tune"];

/// A command, an option, arguments with which it changes nothing, and what is said of that.
const WITHOUT_EFFECT: &[(&str, &str, &str, &str)] = &[
    ("train", "delimiter", "d.npy --target x2 --delimiter comma", "the file is no text"),
    ("train", "decimal", "d.npy --target x2 --decimal comma", "the file is no text"),
    ("train", "header", "d.npy --target x2 --header no", "the file is no text"),
    ("train", "sheet", "n.csv --target y --sheet s", "--sheet goes with an Excel workbook"),
    ("train", "valid-sheet", "n.csv --target y --valid-sheet s", "no file is given"),
    ("train", "group", "n.csv --target y --group b --valid 0", "no rows are held out"),
    (
        "train",
        "split-column",
        "n.csv --target y --split-column b --valid 0.1",
        "--split-column says which rows",
    ),
    ("train", "min-count", "n.csv --target y --min-count 3", "no column is taken for texts"),
    ("train", "one-hot", "n.csv --target y --one-hot 3", "no column is taken for texts"),
    (
        "train",
        "embedding-width",
        "n.csv --target y --embedding-width 3",
        "no column is taken for texts",
    ),
    (
        "train",
        "embedding-width",
        "c.csv --target y --embedding-width 3 --one-hot 100",
        "no column of texts has a table",
    ),
    (
        "train",
        "split-seed",
        "n.csv --target y --split-seed 5 --valid last:0.2",
        "no validation rows are drawn",
    ),
    (
        "train",
        "split-seed",
        "n.csv --target y --split-seed 5 --valid 0",
        "no validation rows are drawn",
    ),
    (
        "train",
        "keep-later",
        "n.csv --target y --valid 0 --keep-later",
        "with --valid 0 there are no",
    ),
    (
        "train",
        "ignore",
        "n.csv --target y --features a,b --ignore b",
        "`b` is one of --features as well",
    ),
    (
        "train",
        "columns",
        "n.csv --target y --features a,b --columns b:ignore",
        "`b` is one of --features as well",
    ),
    (
        "train",
        "momentum",
        "n.csv --target y --optimizer sgd(momentum=0.9) --momentum 0.5",
        "--momentum: optimizer = \"sgd(momentum=0.9)\" says it too",
    ),
    (
        "train",
        "weight-decay",
        "n.csv --target y --optimizer adamw(weight_decay=0.1) --weight-decay 0.2",
        "says it too",
    ),
    (
        "train",
        "groups",
        "n.csv --target y --weight-decay 0.1 --groups 0.*:decay=0 --freeze 0.*",
        "decay=0 of 0.* changes nothing",
    ),
    (
        "train",
        "groups",
        "n.csv --target y --groups 0.*:lr=0.3,frozen=true",
        "lr=0.3 of 0.* changes nothing",
    ),
    (
        "train",
        "dropout-schedule",
        "n.csv --target y --layers dense(3),relu,dropout(0),dense --dropout-schedule cosine",
        "every dropout layer has a rate of 0",
    ),
    ("train", "scale-texts", "n.csv --target y --scale-texts", "no input stands for a text"),
    ("train", "clamp", "c.csv --target y --clamp", "the target is no number"),
    ("train", "keep-later", "n.csv --target y --keep last --keep-later", "nothing is watched"),
    (
        "train",
        "drop-last",
        "n.csv --target y --drop-last --batch-size 1000",
        "leave no smaller batch",
    ),
    ("train", "missing", "n.csv --target y --missing none", "no cell of a feature is"),
    ("train", "positive", "n.csv --target y --positive 1", "is a number"),
    ("train", "target-scale", "c.csv --target y --target-scale log", "the target is no number"),
    (
        "train",
        "activation",
        "n.csv --target y --hidden none --activation gelu",
        "--hidden none has none",
    ),
    ("train", "norm", "n.csv --target y --hidden none --norm layer", "--hidden none has none"),
    ("train", "dropout", "n.csv --target y --hidden none --dropout 0.1", "--hidden none has none"),
    (
        "train",
        "activation",
        "n.csv --target y --layers dense --activation gelu",
        "says what all layers are",
    ),
    ("train", "init-strict", "n.csv --target y --init-strict false", "there is no file"),
    (
        "train",
        "class-weights",
        "n.csv --target y --class-weights balanced",
        "the target is no class",
    ),
    ("train", "momentum", "n.csv --target y --momentum 0.9", "has no such setting"),
    ("train", "nesterov", "n.csv --target y --optimizer sgd --nesterov true", "needs a --momentum"),
    ("train", "beta1", "n.csv --target y --optimizer sgd --beta1 0.9", "has no such setting"),
    ("train", "beta2", "n.csv --target y --optimizer sgd --beta2 0.9", "has no such setting"),
    ("train", "eps", "n.csv --target y --optimizer sgd --eps 1e-7", "has no such setting"),
    ("train", "accumulate", "n.csv --target y --accumulate 99", "is more than the"),
    (
        "train",
        "no-decay",
        "n.csv --target y --weight-decay 0 --no-decay bias",
        "there is no weight decay",
    ),
    ("train", "freeze", "n.csv --target y --freeze *", "all parameters are frozen"),
    (
        "train",
        "decay-schedule",
        "n.csv --target y --weight-decay 0 --decay-schedule cosine",
        "changes nothing",
    ),
    ("train", "dropout-schedule", "n.csv --target y --dropout-schedule cosine", "changes nothing"),
    (
        "train",
        "smoothing-schedule",
        "n.csv --target y --smoothing-schedule cosine",
        "changes nothing",
    ),
    ("train", "schedule-epochs", "n.csv --target y --schedule-epochs 9", "changes nothing"),
    (
        "train",
        "stop-patience",
        "n.csv --target y --valid 0 --stop-patience 3",
        "no validation rows",
    ),
    (
        "train",
        "stop-metric",
        "n.csv --target y --keep last --stop-metric rmse",
        "nothing is watched",
    ),
    ("train", "stop-delta", "n.csv --target y --stop-delta 0.1", "nothing is watched"),
    ("train", "keep", "n.csv --target y --valid 0 --keep best", "no validation rows"),
    (
        "train",
        "on-nonfinite",
        "n.csv --target y --on-nonfinite back --checkpoint-every 0",
        "needs checkpoints",
    ),
    ("train", "tune", "n.csv --target y --tune full", "changes nothing on the CPU"),
    ("train", "tune-ms", "n.csv --target y --tune off --tune-ms 9", "leave one of the two out"),
    (
        "train",
        "keep-checkpoints",
        "n.csv --target y --keep-checkpoints 3 --checkpoint-every 0",
        "no checkpoints are written",
    ),
    ("train", "fold", "n.csv --target y --fold 1", "belongs to --folds"),
    ("train", "folds-repeats", "n.csv --target y --folds-repeats 2", "belongs to --folds"),
    ("train", "refit", "n.csv --target y --refit", "belongs to --folds"),
    ("train", "members", "n.csv --target y --members 2 --folds 3", "folds have a network each"),
    ("find-lr", "epochs", "n.csv --target y --epochs 9", "--epochs changes nothing"),
    (
        "find-lr",
        "keep",
        "n.csv --target y --keep last --schedule cosine",
        "--schedule, --keep change nothing",
    ),
    ("find-lr", "clamp", "n.csv --target y --clamp", "--clamp changes nothing"),
    ("sweep", "trials", "n.csv --target y --config s.toml --search grid --trials 3", "--trials"),
    (
        "sweep",
        "allow-missing",
        "n.csv --target y --config s.toml --trials 2 --allow-missing",
        "--merge",
    ),
    ("resume", "schedule-epochs", "run --epochs 3 --schedule-epochs 9", "changes nothing"),
    ("resume", "stop-delta", "run --epochs 3 --stop-delta 0.1", "nothing is watched"),
    ("evaluate", "target", "run n.csv --target d.npy", "goes with an array"),
    ("evaluate", "delimiter", "run d.npy --delimiter comma", "the file is no text"),
    ("evaluate", "decimal", "run d.npy --decimal comma", "the file is no text"),
    ("evaluate", "header", "run d.npy --header no", "the file is no text"),
    ("evaluate", "sheet", "run n.csv --sheet s", "--sheet goes with an Excel workbook"),
    ("predict", "delimiter", "run d.npy --delimiter comma", "the file is no text"),
    ("predict", "decimal", "run d.npy --decimal comma", "the file is no text"),
    ("predict", "header", "run d.npy --header no", "the file is no text"),
    ("predict", "sheet", "run n.csv --sheet s", "--sheet goes with an Excel workbook"),
    ("predict", "force", "run n.csv --force", "--out"),
    ("predict", "spread", "run n.csv --spread", "one network alone has no spread"),
    ("plot", "delimiter", "run --delimiter comma", "no table is given"),
    ("plot", "decimal", "run d.npy --decimal comma", "the file is no text"),
    ("plot", "header", "run --header no", "no table is given"),
    ("plot", "sheet", "run n.csv --sheet s", "--sheet goes with an Excel workbook"),
    ("calibrate", "delimiter", "run d.npy --out c.st --delimiter comma", "the file is no text"),
    ("calibrate", "decimal", "run --out c.st --decimal comma", "no table is given"),
    ("calibrate", "header", "run --out c.st --header no", "no table is given"),
    ("calibrate", "sheet", "run n.csv --out c.st --sheet s", "--sheet goes with an Excel workbook"),
    ("report", "delimiter", "run d.npy --delimiter comma", "the file is no text"),
    ("report", "decimal", "run --decimal comma", "no table is given"),
    ("report", "header", "run d.npy --header no", "the file is no text"),
    ("report", "sheet", "run --sheet s", "no table is given"),
    ("inspect", "delimiter", "d.npy --delimiter comma", "the file is no text"),
    ("inspect", "decimal", "d.npy --decimal comma", "the file is no text"),
    ("inspect", "header", "d.npy --header no", "the file is no text"),
    ("inspect", "sheet", "n.csv --sheet s", "--sheet goes with an Excel workbook"),
    ("export", "input", "texts --onnx o.onnx --input f32", "leave --input out"),
    ("verify", "verbose", "--verbose --json", "cannot be used with"),
    ("bench", "batch-size", "--workload tiny --batch-size 9", "--network"),
    ("bench", "batch-size", "--network 2,1 --batch-size 9 --predict", "cannot be used with"),
    ("bench", "single-kernels", "--single-kernels", "all devices are the CPU"),
    ("bench", "tune", "--tune full", "all devices are the CPU"),
    ("bench", "tune-ms", "--tune-ms 9", "all devices are the CPU"),
    ("bench", "tune-ms", "--tune off --tune-ms 9", "leave it out"),
    ("bench", "precision", "--predict --precision f16", "cannot be used with"),
    ("bench", "members", "--members 1,2 --profile", "cannot be used with"),
];

#[test]
fn every_option_is_in_the_table() {
    for command in Cli::command().get_subcommands() {
        // A plan has the options of a training.
        let name = command.get_name();
        if name == "plan" || name == "vocabulary" {
            continue;
        }
        let cli = Cli::command();
        let train = cli.find_subcommand("train").unwrap();
        let of_train: BTreeSet<&str> =
            train.get_arguments().filter_map(clap::Arg::get_long).collect();
        let own = |it: &&str| *it != "help" && !(AS_TRAIN.contains(&name) && of_train.contains(it));
        let options: BTreeSet<&str> =
            command.get_arguments().filter_map(clap::Arg::get_long).filter(own).collect();
        let line = ALWAYS.lines().find_map(|line| line.trim().strip_prefix(&format!("{name}: ")));
        let always = line.unwrap_or_default().split_whitespace();
        let known: BTreeSet<&str> = always
            .chain(WITHOUT_EFFECT.iter().filter(|row| row.0 == name).map(|row| row.1))
            .filter(own)
            .collect();
        assert_eq!(options, known, "{name}");
    }
}

#[test]
fn options_without_an_effect_are_refused_or_told() {
    let place = Place::new();
    let rows = |row: &dyn Fn(u32) -> String| (0..60).map(row).collect::<String>();
    let numbers = rows(&|i| format!("{},{},{}\n", i % 7, i * 5 % 11, f64::from(i % 9) / 8.0));
    place.write("n.csv", &format!("a,b,y\n{numbers}"));
    let texts = rows(&|i| {
        format!("{},{},{}\n", i % 7, ["u", "v", "w"][i as usize % 3], ["p", "q"][i as usize % 2])
    });
    place.write("c.csv", &format!("a,b,y\n{texts}"));
    place.write("s.toml", "lr = [0.1, 0.01]\n");
    let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (20, 3), }";
    let mut array = b"\x93NUMPY\x01\x00".to_vec();
    array.extend(118_u16.to_le_bytes());
    array.extend(format!("{header:<117}\n").as_bytes());
    array.extend((0..60).flat_map(|i| (f64::from(i * 7 % 13) as f32).to_le_bytes()));
    std::fs::write(place.path("d.npy"), array).unwrap();
    place.ok("train n.csv --target y --hidden 2 --epochs 2 --out run --quiet");
    place.ok("train c.csv --target y --hidden 2 --epochs 2 --out texts --quiet");
    for &(command, option, args, part) in WITHOUT_EFFECT.iter() {
        let small = match command {
            "train" if args.contains("--hidden") || args.contains("--layers") => {
                " --epochs 1 --out r --force"
            }
            "train" | "sweep" => " --hidden 2 --epochs 1 --out r --force",
            _ => "",
        };
        let output = place.run(&format!("{command} {args}{small}"));
        let said = String::from_utf8(output.stderr).unwrap().replace("\n        ", " ");
        assert!(said.contains(part), "{command} --{option}: {args}: {said}");
        let told = output.status.code() == Some(0) && said.contains("warning: ");
        assert!(told || matches!(output.status.code(), Some(1 | 2)), "{command} {args}: {said}");
    }
}

#[test]
fn a_validation_loss_of_another_smoothing_is_told_when_a_run_goes_on() {
    let place = Place::new();
    let rows: String = (0..40).map(|row| format!("{},{}\n", row % 7, row % 2)).collect();
    place.write("c.csv", &format!("a,y\n{rows}"));
    let train = "train c.csv --target y --task classify --hidden 2 --epochs 2 --loss cross-entropy(label-smoothing=0.3)";
    for (schedule, resume, want) in [
        ("step(every=2,gamma=0.5)", "--epochs 6", true),
        ("step(every=2,gamma=0.5)", "--epochs 6 --schedule-epochs 2", false),
        ("cosine", "--epochs 6", false),
    ] {
        place.ok(&format!("{train} --smoothing-schedule {schedule} --out run --force --quiet"));
        let (_, said) = place.ok(&format!("resume run {resume}"));
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        let told = said.contains("do not compare with later ones; resume with --schedule-epochs 2");
        assert_eq!(told, want, "{schedule} {resume}: {said}");
    }
}
