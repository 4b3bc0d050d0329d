//! Ensembles that share their weights, `batch_ensemble`, against the authors' TabM (`tests/oracle/batch_ensemble.py`): losses of all
//! steps, weights after 1, 10 and all steps, and predictions, from given start values, in the order of the table, without dropout.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use common::oracle::Oracle;
use common::{Tolerance, assert_close};
use wgrad::data::FeatureScaling;
use wgrad::graph::{Group, Loss, inference};
use wgrad::model::{Params, Sequential};
use wgrad::train::{Ensemble, KeepWeights, ScheduleKind};
use wgrad::{Dataset, DeviceKind, Predictor, Seed, Split, Targets, TrainOptions, Trainer};

/// Both start alike; the program computes in f32, the authors' in f64.
const LIMIT: Tolerance = Tolerance { abs: 1e-4, rel: 1e-4 };
const CASES: [&str; 4] = ["classes", "numbers", "labels", "bins"];
const EPOCHS: u32 = 6;

fn table(oracle: &Oracle, case: &str) -> Dataset {
    let of = |name: &str| oracle.values(&format!("{case}/{name}"));
    let x = oracle.values_f32(&format!("{case}/x"));
    let y = of("y");
    let rows = |y| Dataset::from_arrays(&x, 5, y).unwrap();
    match case {
        "classes" | "bins" => rows(Targets::Classes(y.iter().map(|&class| class as u32).collect())),
        "labels" => {
            let data = rows(Targets::Columns(y.to_vec(), 2)).as_labels().unwrap();
            data.with_weights(of("weights").to_vec()).unwrap()
        }
        _ => rows(Targets::Numbers(y.to_vec())),
    }
}

fn options(case: &str) -> TrainOptions {
    TrainOptions {
        loss: match case {
            "classes" | "bins" => Loss::CROSS_ENTROPY,
            "labels" => Loss::BinaryCrossEntropy,
            _ => Loss::Mse,
        },
        optimizer: "adamw(weight-decay=0.0003)".parse().unwrap(),
        groups: vec!["bias: decay=0".parse::<Group>().unwrap()],
        lr: 0.01,
        schedule: ScheduleKind::Constant,
        epochs: EPOCHS,
        batch_size: 32,
        shuffle: false,
        scale: FeatureScaling::Standard,
        keep: Some(KeepWeights::Last),
        ..TrainOptions::default()
    }
}

fn compare(oracle: &Oracle, (case, part): (&str, &str), params: &Params) {
    for (view, values) in params.iter() {
        let want = oracle.values(&format!("{case}/{part}/{}", view.name));
        let got: Vec<f64> = values.iter().copied().map(f64::from).collect();
        assert_close(&format!("{case}, {part}, {}", view.name), &got, want, LIMIT);
    }
}

fn run(oracle: &Oracle, case: &str, device: &DeviceKind) {
    let model: Sequential = oracle.metadata(&format!("layers/{case}")).parse().unwrap();
    let data = Split { train: table(oracle, case), valid: None };
    let begin = || {
        let mut trainer = Trainer::new(&model, &data, &options(case), device).unwrap();
        let mut start = trainer.params().unwrap();
        for view in start.clone().layout().views() {
            let given = format!("{case}/init/{}", view.name);
            start.set(&view.name, &view.shape, &oracle.values_f32(&given)).unwrap();
        }
        trainer.set_params(&start).unwrap();
        trainer
    };
    let mut trainer = begin();
    let losses = oracle.values(&format!("{case}/losses"));
    for (step, loss) in (1..=10).zip(losses) {
        let got = trainer.step().unwrap().loss;
        assert_close(&format!("{case}, loss of step {step}"), &[got], &[*loss], LIMIT);
        if [1, 10].contains(&step) {
            compare(oracle, (case, &format!("after{step}")), &trainer.params().unwrap());
        }
    }
    let mut trainer = begin();
    trainer.run().unwrap();
    let trained = trainer.trained();
    compare(oracle, (case, "after"), &trained.params);
    let rows: Vec<f64> = data.train.x().iter().collect();
    let told = Predictor::new(trained).unwrap().predict(&rows).unwrap();
    let want = oracle.values(&format!("{case}/eval"));
    let limit = Tolerance { abs: 1e-4, rel: 2e-4 };
    assert_close(&format!("{case}, predictions"), told.values(), want, limit);
}

#[test]
fn a_run_is_the_authors() {
    let oracle = Oracle::read("batch_ensemble");
    for case in CASES {
        run(&oracle, case, &DeviceKind::Cpu);
    }
}

#[test]
#[cfg(feature = "gpu")]
fn gpus_give_the_same() {
    let oracle = Oracle::read("batch_ensemble");
    if let Some(kind) = common::gpu_kind() {
        CASES.into_iter().for_each(|case| run(&oracle, case, &kind));
    }
}

/// The bins that a run measures on the table, before start values of the oracle take their place.
#[test]
fn bins_are_quantiles_of_the_training_rows() {
    let oracle = Oracle::read("batch_ensemble");
    let data = table(&oracle, "bins");
    let model: Sequential = oracle.metadata("layers/bins").parse().unwrap();
    let start = |model: &Sequential, data: Dataset| {
        let data = Split { train: data, valid: None };
        Trainer::new(model, &data, &options("bins"), &DeviceKind::Cpu)
            .and_then(|mut it| it.params())
    };
    let params = start(&model, data.clone()).unwrap();
    for name in ["0.slope", "0.offset", "0.low", "0.high"] {
        let want = oracle.values(&format!("bins/init/{name}"));
        let got: Vec<f64> = params.get(name).unwrap().iter().copied().map(f64::from).collect();
        // Columns are scaled in single precision, and a narrow bin multiplies its rounding.
        assert_close(name, &got, want, Tolerance { abs: 1e-4, rel: 1e-4 });
    }
    // A column of two values has one bin, at the end, which is open to both sides.
    let slope = params.get("0.slope").unwrap();
    assert!(slope[12..17].iter().all(|it| *it == 0.0) && slope[17] > 0.0, "{slope:?}");
    assert!(params.get("0.weight").unwrap().iter().all(|it| *it == 0.0));
    // A constant column has no bin.
    let x: Vec<f32> = (0..40).flat_map(|i| [3.0, i as f32]).collect();
    let y = Targets::Classes((0..40).map(|i| i % 3).collect());
    let params = start(&model, Dataset::from_arrays(&x, 2, y).unwrap()).unwrap();
    let slope = params.get("0.slope").unwrap();
    assert!(slope[..6].iter().all(|it| *it == 0.0) && slope[6..].iter().all(|it| *it > 0.0));
    for (text, part) in [
        (
            "dense(4), ple, dense(3)",
            "layer 1 (ple): the bins of ple are measured on the network's inputs",
        ),
        ("branches((ple), (identity)), dense(3)", "let it be the first layer"),
    ] {
        let said = start(&text.parse().unwrap(), data.clone()).err().unwrap().to_string();
        assert!(said.starts_with("layers: ") && said.contains(part), "{said}");
    }
}

fn model(text: &str) -> Sequential {
    text.parse().unwrap()
}

fn start(text: &str, inputs: usize) -> Params {
    Params::init(&model(text), inputs, Seed(1)).unwrap()
}

#[test]
fn members_start_with_signs_ones_and_the_same_bias() {
    let params = start("batch_ensemble(16, dense(8), relu, dense(8), relu, dense(3))", 40);
    let of = |name: &str| params.get(&format!("0.{name}")).unwrap();
    let signs = of("0.r");
    assert_eq!(signs.len(), 16 * 40);
    assert!(signs.iter().all(|r| r.abs() == 1.0));
    let up = signs.iter().filter(|r| **r > 0.0).count();
    assert!((240..400).contains(&up), "{up} of 640");
    assert_ne!(signs[..40], signs[40..80]);
    for name in ["0.s", "2.r", "2.s"] {
        assert!(of(name).iter().all(|it| *it == 1.0), "{name}");
    }
    for (name, bound) in [("0.weight", 40.0), ("0.bias", 40.0), ("2.bias", 8.0), ("4.weight", 8.0)]
    {
        let bound = 1.0 / f32::sqrt(bound);
        let largest = of(name).iter().fold(0.0, |most: f32, it| most.max(it.abs()));
        assert!(largest <= bound && largest > 0.6 * bound, "{name}: {largest} {bound}");
    }
    // Hidden biases are alike in all members, outputs are not.
    assert!(of("0.bias").chunks(8).all(|member| member == &of("0.bias")[..8]));
    assert_ne!(of("4.bias")[..3], of("4.bias")[3..6]);
    assert_ne!(of("4.weight")[..24], of("4.weight")[24..48]);
}

#[test]
fn behind_embeddings_a_feature_starts_with_one_normal_number() {
    for mini in ["", "mini=true, "] {
        let text = format!(
            "embedding(1=7x4), plr(outputs=3, columns=4 5), batch_ensemble(50, {mini}dense(8), relu, dense(1))"
        );
        // Four columns of a table and two numbers: the numbers come first.
        let params = start(&text, 3);
        let r = params.get(if mini.is_empty() { "2.0.r" } else { "2.r" }).unwrap();
        assert_eq!(r.len(), 50 * 10);
        let mut all = Vec::new();
        for member in r.chunks(10) {
            for chunk in [&member[..3], &member[3..6], &member[6..]] {
                assert!(chunk.iter().all(|it| *it == chunk[0]), "{chunk:?}");
                all.push(f64::from(chunk[0]));
            }
        }
        let mean = all.iter().sum::<f64>() / 150.0;
        let deviation = (all.iter().map(|r| (r - mean).powi(2)).sum::<f64>() / 149.0).sqrt();
        assert!(mean.abs() < 0.3 && (0.8..1.2).contains(&deviation), "{mean} {deviation}");
    }
}

#[test]
fn mini_members_differ_by_their_first_factors_and_outputs() {
    let params = start("batch_ensemble(16, mini=true, dense(8), relu, dense(3))", 5);
    let names: Vec<_> = params.iter().map(|(view, _)| (&*view.name, view.shape.clone())).collect();
    let want = [
        ("0.r", vec![80]),
        ("0.0.weight", vec![8, 5]),
        ("0.0.bias", vec![8]),
        ("0.2.weight", vec![48, 8]),
        ("0.2.bias", vec![48]),
    ];
    assert_eq!(names, want);
}

/// A member by itself is a network whose weights follow from the ensemble's: an ensemble of these networks predicts the same.
#[test]
fn the_prediction_is_that_of_the_members_as_networks() {
    const MEMBERS: usize = 5;
    let member = "dense(6), tanh, residual(dense(6), gelu), dense(OUT)";
    for (loss, outputs) in [
        ("cross-entropy", 3),
        ("hinge", 3),
        ("mse", 1),
        ("poisson-nll", 1),
        ("pinball(0.1, 0.5, 0.9)", 3),
        ("binary-cross-entropy", 2),
    ] {
        let loss: Loss = loss.parse().unwrap();
        let x: Vec<f32> = (0..60).map(|i| ((i * 7 + 3) % 11) as f32 / 4.0).collect();
        let y = match &loss {
            Loss::Classes(_) => Targets::Classes((0..20).map(|i| i % 3).collect()),
            Loss::BinaryCrossEntropy => {
                Targets::Columns((0..40).map(|i| f64::from(i % 3 == 0)).collect(), 2)
            }
            _ => Targets::Numbers((0..20).map(|i| f64::from(i * i % 7)).collect()),
        };
        let mut data = Dataset::from_arrays(&x, 3, y).unwrap();
        if loss == Loss::BinaryCrossEntropy {
            data = data.as_labels().unwrap();
        }
        let member = member.replace("OUT", &outputs.to_string());
        let shared = model(&format!("batch_ensemble({MEMBERS}, {member})"));
        let options =
            TrainOptions { loss: loss.clone(), epochs: 5, lr: 0.05, ..TrainOptions::default() };
        let data = Split { train: data, valid: None };
        let mut trainer = Trainer::new(&shared, &data, &options, &DeviceKind::Cpu).unwrap();
        trainer.run().unwrap();
        let trained = trainer.trained();
        let alone = |place: usize| {
            let of = |name: &str| trained.params.get(&format!("0.{name}")).unwrap();
            let part = |name: &str| {
                let all = of(name);
                let each = all.len() / MEMBERS;
                all[place * each..(place + 1) * each].to_vec()
            };
            let own = model(&member);
            let mut params = Params::zeros(own.layout(3).unwrap());
            for (at, inputs) in [("0", 3), ("2.0", 6)] {
                let (r, s) = (part(&format!("{at}.r")), part(&format!("{at}.s")));
                let weight = of(&format!("{at}.weight")).iter().enumerate();
                let weight: Vec<f32> =
                    weight.map(|(i, w)| w * r[i % inputs] * s[i / inputs]).collect();
                params.set(&format!("{at}.weight"), &[6, inputs], &weight).unwrap();
                params.set(&format!("{at}.bias"), &[6], &part(&format!("{at}.bias"))).unwrap();
            }
            params.set("3.weight", &[outputs, 6], &part("3.weight")).unwrap();
            params.set("3.bias", &[outputs], &part("3.bias")).unwrap();
            wgrad::TrainedModel { model: own, params, ..trained.clone() }
        };
        let members = Ensemble::new((0..MEMBERS).map(alone).collect()).unwrap();
        let rows: Vec<f64> = data.train.x().iter().collect();
        let want = Predictor::new(members).unwrap().predict(&rows).unwrap();
        let got = Predictor::new(trained.clone()).unwrap().predict(&rows).unwrap();
        let limit = Tolerance { abs: 1e-5, rel: 2e-5 };
        assert_close(&loss.to_string(), got.values(), want.values(), limit);
    }
}

#[test]
fn what_cannot_be_combined_is_refused_with_place_and_remedy() {
    for (text, part) in [
        (
            "batch_ensemble(4, layer_norm, dense(2))",
            "layer 0.0 (layer_norm): it does not work on each member",
        ),
        (
            "batch_ensemble(4, dense(4), glu, dense(2))",
            "layer 0.1 (glu): it does not work on each member",
        ),
        (
            "batch_ensemble(4, dense(4), relu)",
            "layer 0 (batch_ensemble(4, dense(4), relu)): its last layer must be dense",
        ),
        ("batch_ensemble(0, dense(4))", "0 members"),
        (
            "batch_ensemble(4, dense(4)), relu",
            "it must be the network's last layer; put what follows inside",
        ),
        (
            "residual(batch_ensemble(4, dense(3)))",
            "layer 0.0 (batch_ensemble(4, dense(3))): it must be the network's last layer",
        ),
        (
            "batch_ensemble(4, mini=true, batch_norm, dense(2))",
            "layer 0.0 (batch_norm): it has numbers for each member's columns",
        ),
        ("batch_ensemble(4, dense(2, init=unit-variance))", "unit-variance measures layers"),
        (
            "batch_ensemble(4, embedding(0=3x2), dense(2))",
            "layer 0.0 (embedding(0=3x2)): it does not work",
        ),
        ("batch_ensemble(9999999, dense(2))", "columns side by side, but at most"),
    ] {
        let said = model(text).layout(3).unwrap_err().to_string();
        assert!(said.starts_with("layers: ") && said.contains(part), "{text}: {said}");
    }
    for (text, part) in [
        ("batch_ensemble(4, size=3, dense(2))", "unknown argument \"size\""),
        ("batch_ensemble(4)", "no layer is given"),
        ("batch_ensemble(x=2)", "no layer is given"),
        ("batch_ensemble(4, dens(2))", "layer 0.0 (dens(2)): unknown layer"),
    ] {
        let said = text.parse::<Sequential>().unwrap_err().to_string();
        assert!(said.contains(part), "{text}: {said}");
    }
    let said = inference(&model("batch_ensemble(4, dense(2))"), 3).unwrap_err().to_string();
    assert!(said.contains("use inference_under"), "{said}");
    let data = Dataset::from_arrays(&[1.0, 2.0, 3.0], 1, Targets::Numbers(vec![1.0, 2.0, 4.0]));
    let data = Split { train: data.unwrap(), valid: None };
    let tried = |text: &str, options: TrainOptions| {
        Trainer::new(&model(text), &data, &options, &DeviceKind::Cpu)
            .map(|_| ())
            .unwrap_err()
            .to_string()
    };
    let loss = "gaussian-nll".parse().unwrap();
    let said =
        tried("batch_ensemble(4, dense(2))", TrainOptions { loss, ..TrainOptions::default() });
    assert!(said.contains("gaussian-nll") && said.contains("use pinball"), "{said}");
    let half = wgrad::plan::Precision::F16;
    let options = TrainOptions { loss: Loss::Mse, precision: half, ..TrainOptions::default() };
    let said = tried("batch_ensemble(4, dense(1))", options);
    assert!(said.contains("has no form in half precision") && said.contains("f32"), "{said}");
}
