//! The choice among the forms of products: timed only where right, kept on disk, and the same bits from the same choice.

#![cfg(feature = "gpu")]
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use std::path::Path;
use std::time::Duration;

use common::gpu;
use wgrad::data::{Split, synth};
use wgrad::device::gpu::{GpuDevice, KERNELS, Variant};
use wgrad::device::{Device, DeviceKind, Tune, Tuning};
use wgrad::model::{Activation, Init, Sequential};
use wgrad::train::{Event, TrainOptions, Trainer, Warning};
use wgrad::{Loss, Seed};

/// As fast as a form can be, since it sums nothing.
const NO_PRODUCT: &str = "
@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = (group.x + group.y * groups.x) * 64u + lane;
    if at < params.m * params.n {
        out[at] = 0.5;
    }
}
";

/// A form that wins every race and is wrong.
fn wrong() -> &'static [Variant] {
    // It covers as much of the result as its tile says, for whole tiles of 8 x 8.
    let form = Variant {
        name: "no_product",
        source: &[NO_PRODUCT],
        consts: &[],
        tile: [8, 8],
        subgroup: None,
        one_pipeline: false,
        cooperative: None,
    };
    Vec::leak(vec![form])
}

/// One layer, so that there are two products to compile; too wide for whole steps in one dispatch.
fn data() -> (Sequential, Split, TrainOptions) {
    let data = synth::friedman(70, 130, Seed(4)).split(0.0, Seed(4)).unwrap();
    let loss = Loss::Mse;
    let options =
        TrainOptions { loss, epochs: 2, batch_size: 32, lr: 1e-3, ..TrainOptions::default() };
    (Sequential::mlp(&[], Activation::Relu, data.train.outputs(), Init::Pytorch), data, options)
}

/// Trains on this device. Out: what it warned of, the forms it took, the weights.
fn train(device: Box<dyn Device>) -> (Vec<String>, Vec<String>, Vec<f32>) {
    let (model, data, options) = data();
    let mut trainer = Trainer::with_device(&model, &data, &options, device).unwrap();
    let mut warnings = Vec::new();
    for event in trainer.fit() {
        if let Event::Warned(Warning::Device { problem }) = event.unwrap() {
            warnings.push(problem);
        }
    }
    (warnings, trainer.info().variants.clone(), trainer.params().unwrap().arena().to_vec())
}

fn reference() -> Vec<f32> {
    let (model, data, options) = data();
    let mut trainer = Trainer::new(&model, &data, &options, &DeviceKind::Cpu).unwrap();
    trainer.fit().for_each(|event| drop(event.unwrap()));
    trainer.params().unwrap().arena().to_vec()
}

fn tuned(mut device: GpuDevice, tune: Tune, folder: Option<&Path>) -> Box<dyn Device> {
    let folder = folder.map(Path::to_path_buf);
    device.tune(Tuning { tune, budget: Duration::from_secs(5), folder });
    Box::new(device)
}

#[test]
fn a_wrong_form_loses_and_training_goes_on_with_a_right_one() {
    let Some(mut device) = gpu() else { return };
    device.offer_variants(wrong());
    let (warnings, forms, weights) = train(tuned(device, Tune::Full, None));
    let said: Vec<_> = warnings.iter().filter(|w| w.contains("no_product")).collect();
    // Found wrong once, it is tried for nothing else.
    assert_eq!(said.len(), 1, "{warnings:?}");
    assert!(said[0].contains("gives wrong numbers") && said[0].contains("want"), "{said:?}");
    assert_eq!(forms.len(), 2, "{forms:?}");
    assert!(forms.iter().all(|f| f.ends_with("(full)") && !f.contains("no_product")), "{forms:?}");
    for (got, want) in weights.iter().zip(reference()) {
        assert!((got - want).abs() <= 1e-4 * want.abs() + 1e-5, "{got} {want}");
    }
}

#[test]
fn without_a_choice_the_wrong_form_would_have_been_taken() {
    // The test above can fail: forced, the same form trains wrongly and without a word.
    let Some(mut device) = gpu() else { return };
    device.offer_variants(wrong());
    device.force_variant(Some("no_product"));
    let (warnings, forms, weights) = train(tuned(device, Tune::Full, None));
    assert!(warnings.is_empty() && forms.iter().all(|f| f.contains("no_product (forced)")));
    assert!(weights.iter().zip(reference()).any(|(got, want)| (got - want).abs() > 1e-2));
}

#[test]
fn choices_are_kept_and_give_the_same_bits() {
    let Some(device) = gpu() else { return };
    let folder = tempfile::tempdir().unwrap();
    let kept = |path: &Path| {
        let mut files = std::fs::read_dir(path).unwrap().map(|file| file.unwrap().path());
        let file = files.next().unwrap();
        assert!(files.next().is_none());
        (std::fs::read(&file).unwrap(), file)
    };
    let (warnings, forms, weights) = train(tuned(device, Tune::Full, Some(folder.path())));
    assert!(warnings.is_empty(), "{warnings:?}");
    let (bytes, file) = kept(folder.path());

    // A later start reads: the same forms by the word of the first, the same bits, the file as it was.
    let again = train(tuned(gpu().unwrap(), Tune::Quick, Some(folder.path())));
    assert_eq!(again, (vec![], forms.clone(), weights.clone()));
    assert_eq!(kept(folder.path()).0, bytes);
    // Whoever wants none of it has the rule.
    let (_, ruled, _) = train(tuned(gpu().unwrap(), Tune::Off, Some(folder.path())));
    assert!(ruled.iter().all(|form| form.ends_with("(rule)")), "{ruled:?}");

    // A choice is followed, whatever it is.
    let text = String::from_utf8(bytes).unwrap();
    let named = |form: &str| format!("\"variant\": \"{form}\"");
    let (taken, other) = KERNELS
        .iter()
        .find(|spec| spec.name == "matmul_nt")
        .and_then(|spec| {
            let taken = spec.variants.iter().find(|form| text.contains(&named(form.name)))?;
            let plain = |form: &&Variant| form.subgroup.is_none() && form.name != taken.name;
            Some((taken.name, spec.variants.iter().find(plain)?.name))
        })
        .unwrap();
    std::fs::write(&file, text.replace(&named(taken), &named(other))).unwrap();
    let (_, followed, _) = train(tuned(gpu().unwrap(), Tune::Quick, Some(folder.path())));
    assert!(followed.iter().any(|form| form.contains(other)), "{followed:?}");

    // Half a file is no file: a warning, and the run goes on.
    std::fs::write(&file, &text[..text.len() / 2]).unwrap();
    let (warnings, _, _) = train(tuned(gpu().unwrap(), Tune::Quick, Some(folder.path())));
    assert!(warnings.iter().any(|w| w.contains("damaged")), "{warnings:?}");
}

/// The program keeps its choices in the system's folder for caches, and its records say what was chosen.
#[cfg(feature = "cli")]
#[test]
fn the_program_keeps_choices_among_the_users_caches() {
    let Some(kind) = common::gpu_kind() else { return };
    let folder = tempfile::tempdir().unwrap();
    // Too many columns for whole steps in one dispatch, which need no product by itself.
    let header: String = (0..130).map(|column| format!("x{column},")).collect();
    let row = |row: usize| -> String {
        let cells: String = (0..130).map(|column| format!("{},", (row + column) % 7)).collect();
        format!("{cells}{}\n", row % 2)
    };
    let rows: String = (0..40).map(row).collect();
    std::fs::write(folder.path().join("t.csv"), format!("{header}class\n{rows}")).unwrap();
    let run = |tune: &str, out: &str| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_wgrad"))
            .args(["train", "t.csv", "--target", "class", "--hidden", "none", "--epochs", "1"])
            .args(["--valid", "0", "--device", &kind.to_string(), "--tune", tune, "--out", out])
            .args(["--duplicates", "keep"])
            .current_dir(folder.path())
            .envs(["XDG_CACHE_HOME", "HOME", "LOCALAPPDATA"].map(|name| (name, folder.path())))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        std::fs::read_to_string(folder.path().join(out).join("config.toml")).unwrap()
    };
    let first = run("full", "a");
    assert!(
        first.contains("(full)") && first.contains("tune = \"full\"\ntune-ms = 250"),
        "{first}"
    );
    let second = run("quick", "b");
    assert!(second.contains("(full)") && second.contains("tune = \"quick\""), "{second}");
    let caches = if cfg!(target_os = "macos") { "Library/Caches/wgrad" } else { "wgrad" };
    let kept = std::fs::read_dir(folder.path().join(caches).join("tuning")).unwrap();
    assert_eq!(kept.count(), 1);
    assert!(run("off", "c").contains("(rule)"));
}
