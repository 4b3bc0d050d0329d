//! Training in half precision against training in single, on the CPU device, which only rounds, and on the adapter if
//! it has half precision.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

#[cfg(feature = "gpu")]
use std::io::Write as _;

use common::{Tolerance, assert_close};
use wgrad::data::{FeatureScaling, Split, synth};
use wgrad::device::{Device, DeviceKind};
use wgrad::graph::{Loss, Optimizer};
use wgrad::model::{Activation, Init, Sequential};
use wgrad::plan::{LossScaler, Plan, Precision};
use wgrad::train::{Event, Metrics, TrainOptions, Trainer, Warning, Workload};
use wgrad::{Error, Seed};

/// Result of a run.
struct Run {
    losses: Vec<f64>,
    weights: Vec<f32>,
    valid: Metrics,
    scaling: Option<LossScaler>,
    warnings: Vec<Warning>,
}

fn run(data: &Split, options: &TrainOptions, kind: &DeviceKind) -> Run {
    let model = Sequential::mlp(&[24, 12], Activation::Gelu, data.train.outputs(), Init::Pytorch);
    let mut trainer = Trainer::new(&model, data, options, kind).unwrap();
    let (mut losses, mut warnings) = (Vec::new(), Vec::new());
    for event in trainer.fit() {
        match event.unwrap() {
            Event::Epoch(stats) => losses.push(stats.train_loss),
            Event::Warned(warning) => warnings.push(warning),
            _ => {}
        }
    }
    let weights = trainer.params().unwrap().arena().to_vec();
    let valid = trainer.evaluate().unwrap();
    Run { losses, weights, valid, scaling: trainer.scaling().unwrap(), warnings }
}

fn options(precision: Precision) -> TrainOptions {
    TrainOptions { epochs: 12, batch_size: 32, lr: 1e-2, precision, ..TrainOptions::default() }
}

#[test]
fn layers_without_a_form_in_half_precision_are_named() {
    let data = synth::spirals(300, 3, Seed(4)).split(0.2, Seed(4)).unwrap();
    let inner = Sequential::new().dense(8).layer_norm();
    for (model, want) in [
        (Sequential::new().dense(8).batch_norm().relu().dense(3), "layer 1 (batch_norm)"),
        (Sequential::new().dense(8).residual(inner).dense(3), "layer 1.1 (layer_norm)"),
        (Sequential::new().dense(8).prelu().dense(3), "layer 1 (prelu"),
    ] {
        let trainer = Trainer::new(&model, &data, &options(Precision::F16), &DeviceKind::Cpu);
        let said = trainer.err().unwrap().to_string();
        assert!(said.contains(want) && said.contains("use ‘precision’ f32"), "{said}");
    }
}

#[test]
fn half_precision_learns_as_single_does() {
    let spirals = synth::spirals(300, 3, Seed(4)).split(0.2, Seed(4)).unwrap();
    let friedman = synth::friedman(301, 6, Seed(4)).split(0.2, Seed(4)).unwrap();
    let sgd = Optimizer::by_name("sgd(momentum=0.9, weight-decay=1e-3)").unwrap();
    for (data, loss, optimizer) in
        [(&spirals, Loss::CROSS_ENTROPY, Optimizer::default()), (&friedman, Loss::Mse, sgd)]
    {
        let of = |precision| TrainOptions {
            loss: loss.clone(),
            optimizer: optimizer.clone(),
            ..options(precision)
        };
        let single = run(data, &of(Precision::F32), &DeviceKind::Cpu);
        assert_eq!(single.scaling, None);
        for kind in common::half_kinds() {
            let half = run(data, &of(Precision::F16), &kind);
            let tolerance = Tolerance { abs: 0.0, rel: 0.03 };
            assert_close(&format!("{kind}: losses"), &half.losses, &single.losses, tolerance);
            assert_ne!(half.losses, single.losses, "{kind}: it must make some difference");
            if let (Some(got), Some(want)) = (half.valid.accuracy, single.valid.accuracy) {
                assert!((got - want).abs() <= 0.05, "{kind}: accuracy {got}, in single {want}");
            }
            let scaling = half.scaling.unwrap();
            assert_eq!((scaling.skipped, scaling.scale), (0.0, 65_536.0), "{kind}");
            assert!(half.warnings.iter().all(|w| !matches!(w, Warning::StepsSkipped { .. })));
            let again = run(data, &of(Precision::F16), &kind);
            assert_eq!(again.weights, half.weights, "{kind}: the same seed gives the same bits");
        }
    }
}

#[test]
fn overflowing_steps_are_skipped_and_training_goes_on() {
    // Targets far from what the first weights predict: at a scale of 65,536 their gradients exceed 65,504.
    let data = synth::friedman(301, 6, Seed(4)).split(0.2, Seed(4)).unwrap();
    let base = options(Precision::F16);
    let options = TrainOptions { loss: Loss::Mse, scale: FeatureScaling::None, epochs: 40, ..base };
    let mut rounded = None;
    for kind in common::half_kinds() {
        let half = run(&data, &options, &kind);
        let scaling = half.scaling.unwrap();
        assert!(scaling.skipped >= 1.0, "{kind}: {scaling:?}");
        let steps = 2_f32.powf(scaling.skipped);
        assert_eq!(scaling.scale, 65_536.0 / steps, "{kind}: each skipped step halves the scale");
        let first = Warning::StepsSkipped {
            epoch: 1,
            skipped: scaling.skipped as u32,
            scale: scaling.scale.into(),
        };
        assert!(half.warnings.contains(&first), "{kind}: {:?}", half.warnings);
        assert!(half.weights.iter().all(|weight| weight.is_finite()), "{kind}");
        assert!(half.losses.iter().all(|loss| loss.is_finite()), "{kind}");
        let (begun, ended) = (half.losses[0], half.losses[39]);
        assert!(ended < begun / 4.0, "{kind}: the loss went from {begun} to {ended} only");
        // All devices skip the same steps.
        let want = *rounded.get_or_insert(scaling);
        assert_eq!(scaling, want, "{kind}");
    }
}

#[test]
fn a_second_run_begins_with_a_fresh_scale() {
    let data = synth::friedman(101, 6, Seed(4)).split(0.2, Seed(4)).unwrap();
    let options = TrainOptions {
        loss: Loss::Mse,
        scale: FeatureScaling::None,
        epochs: 1,
        ..options(Precision::F16)
    };
    let model = Sequential::mlp(&[8], Activation::Relu, 1, Init::Pytorch);
    let mut trainer = Trainer::new(&model, &data, &options, &DeviceKind::Cpu).unwrap();
    assert!(trainer.fit().all(|event| event.is_ok()));
    assert!(trainer.scaling().unwrap().unwrap().scale < LossScaler::START.scale);
    let first = trainer.fit().next().unwrap().unwrap();
    assert!(matches!(first, Event::Started(info) if info.precision == Precision::F16));
    let mut again = trainer.fit();
    assert!(again.nth(1).unwrap().is_ok());
    let scaling = trainer.scaling().unwrap().unwrap();
    assert!(scaling.good + scaling.skipped <= 3.0, "{scaling:?}");
}

#[test]
fn features_too_large_for_half_precision_are_refused() {
    let x: Vec<f32> = (0..64).map(|i| 1e5 + i as f32).collect();
    let y = wgrad::data::Targets::numbers(0..64);
    let data = wgrad::data::Dataset::from_arrays(&x, 1, y).unwrap().split(0.0, Seed(0)).unwrap();
    let options =
        TrainOptions { loss: Loss::Mse, scale: FeatureScaling::None, ..options(Precision::F16) };
    let model = Sequential::mlp(&[4], Activation::Tanh, 1, Init::Pytorch);
    let refused = Trainer::new(&model, &data, &options, &DeviceKind::Cpu).err().unwrap();
    let said = refused.to_string();
    assert!(said.starts_with("precision: ") && said.contains("100000"), "{said}");
    let scaled = TrainOptions { scale: FeatureScaling::Standard, ..options };
    assert!(Trainer::new(&model, &data, &scaled, &DeviceKind::Cpu).is_ok());
}

#[test]
#[cfg(feature = "gpu")]
fn products_by_cooperative_matrices_train_as_others_do() {
    use wgrad::device::cpu::CpuDevice;
    use wgrad::device::gpu::KERNELS;
    let Some(mut device) = common::gpu() else { return };
    device.open_half();
    let variants = KERNELS.iter().flat_map(|spec| spec.variants);
    let mut seen = false;
    for variant in variants.filter(|variant| variant.cooperative.is_some()) {
        if !device.can_run(variant) {
            continue;
        }
        seen = true;
        let tiny = Workload { precision: Precision::F16, ..Workload::by_name("tiny").unwrap() };
        let plan = tiny.plan().unwrap();
        device.force_variant(Some(variant.name));
        let (got, _) = tiny.begin(&mut device, &plan).unwrap();
        assert!(
            device.variants().iter().all(|line| line.contains(variant.name)),
            "{:?}",
            device.variants()
        );
        let (want, _) = tiny.begin(&mut CpuDevice::<f64>::new(), &plan).unwrap();
        assert_close(variant.name, &got, &want, Tolerance { abs: 0.0, rel: 2e-3 });
    }
    if !seen {
        let _ =
            writeln!(std::io::stderr(), "SKIPPED on {}: no cooperative matrices", device.info());
    }
}

#[test]
#[cfg(feature = "gpu")]
fn an_adapter_without_half_precision_says_what_to_do() {
    let Some(mut device) = common::gpu() else { return };
    let data = synth::spirals(60, 3, Seed(4)).split(0.2, Seed(4)).unwrap();
    let model = Sequential::mlp(&[8], Activation::Relu, 3, Init::Pytorch);
    let plan = Plan::of_run(&model, &data, &options(Precision::F16)).unwrap();
    device.deny_half();
    let error = device.load(&plan).unwrap_err();
    assert!(matches!(error, Error::Device { .. }), "{error}");
    let (said, name) = (error.to_string(), device.info().name.clone());
    for part in [name.as_str(), "SHADER_F16", "‘precision’ f32"] {
        assert!(said.contains(part), "{said}");
    }
}

#[test]
#[cfg(feature = "gpu")]
fn forms_for_halves_are_tuned_and_no_step_is_one_dispatch() {
    use wgrad::device::{Tune, Tuning};
    let Some(mut device) = common::gpu() else { return };
    if !device.has_half() {
        let _ = writeln!(std::io::stderr(), "SKIPPED on {}: no half precision", device.info());
        return;
    }
    let tiny = Workload { precision: Precision::F16, ..Workload::by_name("tiny").unwrap() };
    device.tune(Tuning { tune: Tune::Full, ..Tuning::off() });
    let plan = tiny.plan().unwrap();
    let (got, _) = tiny.begin(&mut device, &plan).unwrap();
    let warnings = device.take_warnings();
    assert!(warnings.is_empty(), "{warnings:?}");
    assert_eq!(device.whole_steps(), None);
    let forms = device.variants();
    assert!(
        forms.iter().all(|form| form.contains(" f16") && form.ends_with("(full)")),
        "{forms:?}"
    );
    let (want, _) = tiny.begin(&mut wgrad::device::cpu::CpuDevice::<f64>::new(), &plan).unwrap();
    assert_close("losses", &got, &want, Tolerance { abs: 0.0, rel: 2e-3 });
}
