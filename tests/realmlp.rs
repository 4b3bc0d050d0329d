//! The recipe `realmlp` against its authors' program (`tests/oracle/realmlp.py`): weights after 1 step, 10 steps and a run of 36, and
//! predictions, from given start values, in the order of the table, without dropout.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use std::fmt::Write as _;

use common::oracle::Oracle;
use common::{Tolerance, assert_close};
use wgrad::data::{FeatureScaling, TableOptions};
use wgrad::graph::{Group, Loss};
use wgrad::model::{Params, Sequential};
use wgrad::train::{KeepWeights, ScheduleKind};
use wgrad::{Dataset, DeviceKind, Predictor, Split, Target, TrainOptions, Trainer};

/// Both start alike; the program computes in f32, the authors' in f64.
const LIMIT: f64 = 1e-4;
const LAYERS: &str = "pbld, scale(bias=false), dense(16, ntk=true), parametric(ACT), dropout(0), dense(16, ntk=true), parametric(ACT), \
                      dropout(0), dense(16, ntk=true), parametric(ACT), dropout(0), dense(OUT, ntk=true)";

/// Columns of numbers, and columns of 2, 5 and 12 texts.
fn table(oracle: &Oracle, case: &str) -> (tempfile::TempDir, Dataset) {
    let of = |name: &str| oracle.values(&format!("{case}/{name}"));
    let (x, codes, y) = (of("x"), of("codes"), of("y"));
    let mut text = "a,b,c,d,e,two,five,twelve,y\n".to_string();
    for ((x, codes), y) in x.chunks(5).zip(codes.chunks(3)).zip(y) {
        let numbers: Vec<String> = x.iter().map(|x| format!("{x:?}")).collect();
        let texts: Vec<String> = codes.iter().map(|code| format!("t{code:02}")).collect();
        let y = if case == "classes" { format!("k{y}") } else { format!("{y:?}") };
        writeln!(text, "{},{},{y}", numbers.join(","), texts.join(",")).unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("table.csv");
    std::fs::write(&path, text).unwrap();
    let options =
        TableOptions { one_hot: Some(8), embedding_width: Some(8), ..TableOptions::default() };
    let target =
        if case == "classes" { Target::class("y") } else { Target::Number("y".to_string()) };
    let data = Dataset::from_csv_with(path, target, &options).unwrap().encoded().unwrap();
    (folder, data)
}

fn options(case: &str, epochs: u32) -> TrainOptions {
    let groups = [
        "scale?: lr=6, decay=6",
        "numbers?: lr=0.1, decay=0.1",
        "activation?: lr=0.1, decay=0.1",
        "bias?: lr=0.1, decay=0",
    ];
    let loss: Loss = match case {
        "classes" => "cross-entropy(label-smoothing=0.1)".parse().unwrap(),
        _ => Loss::Mse,
    };
    TrainOptions {
        loss,
        optimizer: "adamw(beta2=0.95, weight-decay=0.02)".parse().unwrap(),
        groups: groups.map(|text| text.parse::<Group>().unwrap()).into(),
        lr: if case == "classes" { 0.04 } else { 0.2 },
        schedule: ScheduleKind::CosLog4,
        decay_schedule: "flat-cosine".parse().unwrap(),
        epochs,
        schedule_epochs: Some(12),
        batch_size: 32,
        drop_last: true,
        shuffle: false,
        scale: FeatureScaling::Robust,
        scale_texts: true,
        clamp: case == "numbers",
        keep: Some(KeepWeights::Last),
        ..TrainOptions::default()
    }
}

fn compare(oracle: &Oracle, (case, part): (&str, &str), params: &Params) {
    let mut compared = 0;
    for (view, values) in params.iter() {
        let want = oracle.values(&format!("{case}/{part}/{}", view.name));
        let got: Vec<f64> = values.iter().copied().map(f64::from).collect();
        let limit = Tolerance { abs: LIMIT, rel: LIMIT };
        assert_close(&format!("{case}, {part}, {}", view.name), &got, want, limit);
        compared += want.len();
    }
    assert!(compared > 1500, "{compared}");
}

fn run(oracle: &Oracle, case: &str, device: &DeviceKind) {
    let (_folder, train) = table(oracle, case);
    let (activation, outputs) = if case == "classes" { ("selu", "3") } else { ("mish", "1") };
    let model: Sequential =
        LAYERS.replace("ACT", activation).replace("OUT", outputs).parse().unwrap();
    let data = Split { train, valid: None };
    let mut trainer = Trainer::new(&model, &data, &options(case, 12), device).unwrap();
    let mut start = trainer.params().unwrap();
    let names: Vec<String> = start.layout().views().iter().map(|view| view.name.clone()).collect();
    for name in names {
        let given = format!("{case}/init/{name}");
        start.set(&name, oracle.shape(&given), &oracle.values_f32(&given)).unwrap();
    }
    trainer.set_params(&start).unwrap();
    // Steps by hand are those of a run with its learning rates, as long as decay has its full rate.
    let rates = options(case, 12).schedule(3);
    for step in 1..=10 {
        trainer.set_lr(rates.lr(step - 1)).unwrap();
        trainer.step().unwrap();
        if [1, 10].contains(&step) {
            compare(oracle, (case, &format!("after{step}")), &trainer.params().unwrap());
        }
    }
    let mut trainer = Trainer::new(&model, &data, &options(case, 12), device).unwrap();
    trainer.set_params(&start).unwrap();
    let steps: usize = trainer.info().steps_per_epoch;
    assert_eq!(steps, 3, "100 rows in batches of 32, without the last 4");
    for event in trainer.fit() {
        event.unwrap();
    }
    let trained = trainer.trained();
    compare(oracle, (case, "after"), &trained.params);
    let want = oracle.values(&format!("{case}/eval"));
    let rows: Vec<f64> = data.train.x().iter().collect();
    let told = Predictor::new(trained).unwrap().predict(&rows).unwrap();
    let limit = Tolerance { abs: 1e-3, rel: 1e-3 };
    if case == "numbers" {
        assert_close("predictions", told.values(), want, limit);
        return;
    }
    let probabilities = want.chunks(3).flat_map(|row| {
        let sum: f64 = row.iter().map(|x| x.exp()).sum();
        row.iter().map(move |x| x.exp() / sum).collect::<Vec<_>>()
    });
    assert_close("predictions", told.values(), &probabilities.collect::<Vec<_>>(), limit);
}

#[test]
fn classes_are_the_authors() {
    run(&Oracle::read("realmlp"), "classes", &DeviceKind::Cpu);
}

#[test]
fn numbers_are_the_authors() {
    run(&Oracle::read("realmlp"), "numbers", &DeviceKind::Cpu);
}

#[test]
#[cfg(feature = "gpu")]
fn gpus_give_the_same() {
    let oracle = Oracle::read("realmlp");
    if let Some(kind) = common::gpu_kind() {
        run(&oracle, "classes", &kind);
        run(&oracle, "numbers", &kind);
    }
}
