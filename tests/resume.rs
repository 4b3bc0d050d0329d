//! Runs that were stopped and go on are the runs that never were: the same bits, from any step, on each device.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use std::path::Path;

use wgrad::Seed;
use wgrad::data::{Dataset, Split, Target, synth};
use wgrad::device::DeviceKind;
use wgrad::export::{read_checkpoint, write_checkpoint};
use wgrad::graph::Loss;
use wgrad::model::{Activation, Init, Sequential};
use wgrad::plan::Precision;
use wgrad::random::{Purpose, Random};
use wgrad::train::{Checkpoint, EpochStats, Event, KeepWeights, TrainOptions, Trainer, Warning};

fn data() -> Split {
    synth::spirals(203, 3, Seed(5)).split(0.2, Seed(1)).unwrap()
}

fn model() -> Sequential {
    Sequential::mlp(&[12, 8], Activation::Tanh, 3, Init::Pytorch)
}

fn options() -> TrainOptions {
    TrainOptions {
        loss: Loss::CROSS_ENTROPY,
        lr: 0.02,
        epochs: 7,
        batch_size: 16,
        ..TrainOptions::default()
    }
}

/// Files of a run, without times.
#[derive(Debug, PartialEq)]
struct Left {
    epochs: Vec<EpochStats>,
    present: Vec<u32>,
    kept: Vec<u32>,
    best: Option<u32>,
}

fn timeless(stats: EpochStats) -> EpochStats {
    EpochStats { seconds: 0.0, samples_per_second: 0.0, ..stats }
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

fn left(trainer: &mut Trainer, epochs: Vec<EpochStats>) -> Left {
    let kept = trainer.trained().params;
    Left {
        epochs,
        kept: bits(kept.arena()),
        best: trainer.kept().map(|kept| kept.epoch),
        present: bits(trainer.params().unwrap().arena()),
    }
}

/// Trains to the end, or for so many events. Out: the epochs that ended, and the checkpoint of where the run was stopped.
fn train(trainer: &mut Trainer, events: Option<u32>) -> (Vec<EpochStats>, Option<Checkpoint>) {
    let mut epochs = Vec::new();
    let mut fit = trainer.fit();
    let mut count = 0;
    loop {
        if events == Some(count) {
            let checkpoint = fit.checkpoint().unwrap();
            return (epochs, Some(Checkpoint::clone(&checkpoint)));
        }
        count += 1;
        match fit.next() {
            None => return (epochs, None),
            Some(Ok(Event::Epoch(stats))) => epochs.push(timeless(stats)),
            Some(Ok(Event::Warned(warning @ Warning::OtherBits { .. }))) => panic!("{warning}"),
            Some(event) => assert!(event.is_ok(), "{event:?}"),
        }
    }
}

/// Stops a run at random events, each time goes on in a new trainer from what a file brings back, and compares.
fn stopped_and_gone_on(name: &str, options: &TrainOptions, kind: &DeviceKind, random: &mut Random) {
    let data = data();
    let model = if name == "layers" {
        Sequential::new().dense(12).batch_norm().tanh().dropout(0.25).dense(3)
    } else {
        model()
    };
    let new = || Trainer::new(&model, &data, options, kind).unwrap();
    let mut whole = new();
    let epochs = train(&mut whole, None).0;
    let want = left(&mut whole, epochs);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.safetensors");
    // Adapters compile anew for each trainer.
    let rounds = if *kind == DeviceKind::Cpu { 3 } else { 1 };
    for _ in 0..rounds {
        let (mut epochs, mut checkpoint) = (Vec::new(), None);
        let mut places = Vec::new();
        let mut trainer = loop {
            let mut trainer = new();
            if let Some(checkpoint) = checkpoint.take() {
                write_checkpoint(&checkpoint, &path).unwrap();
                trainer.resume(read_checkpoint(&path).unwrap()).unwrap();
            }
            // Twice in the run, then to its end.
            let events = (places.len() < 2).then(|| 1 + random.below(12));
            let (ended, stopped) = train(&mut trainer, events);
            epochs.extend(ended);
            let Some(stopped) = stopped else { break trainer };
            places.push((stopped.epoch(), stopped.step()));
            // Epochs that the checkpoint does not know would be told of again.
            epochs.truncate(stopped.epoch() as usize);
            checkpoint = Some(stopped);
        };
        let got = left(&mut trainer, epochs);
        assert_eq!(got.epochs, want.epochs, "{name} on {kind}, stopped at {places:?}");
        assert!(got == want, "{name} on {kind}, stopped at {places:?}: other weights");
    }
}

#[test]
fn a_run_goes_on_from_any_step_with_the_same_bits() {
    let mut random = Seed(11).stream(Purpose::Synthetic);
    let plain = options();
    let with = |change: fn(&mut TrainOptions)| {
        let mut options = options();
        change(&mut options);
        options
    };
    let cases = [
        ("adamw", plain),
        ("momentum", with(|o| o.optimizer = "sgd(momentum=0.9, nesterov=true)".parse().unwrap())),
        (
            "schedules",
            with(|o| {
                o.schedule = "cosine".parse().unwrap();
                o.decay_schedule = "plateau(patience=0)".parse().unwrap();
            }),
        ),
        (
            "plateau",
            with(|o| {
                o.schedule = "plateau(factor=0.5, patience=0, threshold=0.1)".parse().unwrap()
            }),
        ),
        (
            "early stopping",
            with(|o| {
                (o.stop_patience, o.epochs, o.lr) = (Some(2), 30, 0.2);
            }),
        ),
        ("best", with(|o| (o.keep, o.lr) = (Some(KeepWeights::Best), 0.2))),
        ("nadam", with(|o| o.optimizer = "nadam".parse().unwrap())),
        (
            "average",
            with(|o| {
                (o.average, o.accumulate) = (Some("ema(decay=0.9)".parse().unwrap()), 3);
            }),
        ),
        ("swa", with(|o| o.average = Some("swa(start=2)".parse().unwrap()))),
        ("schedule-free", with(|o| o.optimizer = "schedule-free".parse().unwrap())),
        ("clipping", with(|o| o.clip_norm = Some(0.5))),
        ("blocks", with(|o| o.device_memory = Some(24 << 10))),
        ("layers", with(|o| o.dropout_schedule = "cosine".parse().unwrap())),
        ("half", with(|o| o.precision = Precision::F16)),
    ];
    for kind in common::kinds() {
        for (name, options) in &cases {
            if *name == "half" && !common::half_kinds().contains(&kind) {
                continue;
            }
            let mut options = options.clone();
            if *name == "blocks" {
                options.device_memory = Some(least_memory(&kind, &options));
            }
            stopped_and_gone_on(name, &options, &kind, &mut random);
        }
    }
}

/// Bytes with which the table streams.
fn least_memory(kind: &DeviceKind, options: &TrainOptions) -> u64 {
    let new = |bytes| {
        let options = TrainOptions { device_memory: Some(bytes), ..options.clone() };
        Trainer::new(&model(), &data(), &options, kind)
    };
    let bytes = (10..30).map(|power| 1 << power).find(|&bytes| new(bytes).is_ok()).unwrap();
    let bytes = (bytes / 2..=bytes).step_by(256).find(|&bytes| new(bytes).is_ok()).unwrap();
    assert!(new(bytes).unwrap().info().streaming.is_some());
    bytes
}

#[test]
fn long_epochs_go_on_within_their_windows() {
    // 1,100 steps an epoch: more than a window has.
    let data = Split { train: synth::sine(1100, 0.1, Seed(2)), valid: None };
    let model = Sequential::mlp(&[3], Activation::Tanh, 1, Init::Pytorch);
    let options = TrainOptions {
        loss: Loss::Mse,
        epochs: 2,
        batch_size: 1,
        optimizer: "nadam".parse().unwrap(),
        ..TrainOptions::default()
    };
    let new = || Trainer::new(&model, &data, &options, &DeviceKind::Cpu).unwrap();
    let mut whole = new();
    train(&mut whole, None);
    let mut stopped_late = false;
    for events in [2, 3, 5, 8, 20, 40, 70] {
        let (_, Some(checkpoint)) = train(&mut new(), Some(events)) else { break };
        stopped_late |= checkpoint.step() > 0;
        let mut trainer = new();
        trainer.resume(checkpoint).unwrap();
        train(&mut trainer, None);
        let (got, want) = (trainer.params().unwrap(), whole.params().unwrap());
        assert_eq!(bits(got.arena()), bits(want.arena()), "after {events} events");
    }
    assert!(stopped_late);
}

fn half_way(options: &TrainOptions) -> Checkpoint {
    let mut trainer = Trainer::new(&model(), &data(), options, &DeviceKind::Cpu).unwrap();
    let mut fit = trainer.fit();
    loop {
        if let Event::Epoch(stats) = fit.next().unwrap().unwrap()
            && stats.epoch == 3
        {
            return Checkpoint::clone(fit.trainer().checkpoint().unwrap());
        }
    }
}

#[test]
fn what_does_not_fit_a_checkpoint_is_named() {
    let checkpoint = half_way(&options());
    assert_eq!((checkpoint.epoch(), checkpoint.step()), (3, 0));
    let refused = |model: &Sequential, data: &Split, options: &TrainOptions| {
        let mut trainer = Trainer::new(model, data, options, &DeviceKind::Cpu).unwrap();
        trainer.resume(checkpoint.clone()).unwrap_err().to_string()
    };
    let other = synth::spirals(203, 3, Seed(6)).split(0.2, Seed(1)).unwrap();
    assert!(refused(&model(), &other, &options()).contains("the tables are not those"));
    let same = Split { train: data().train, valid: other.valid };
    assert!(refused(&model(), &same, &options()).contains("the tables are not those"));
    let wide = Sequential::mlp(&[12, 9], Activation::Tanh, 3, Init::Pytorch);
    assert!(refused(&wide, &data(), &options()).contains("other layers"));
    let sgd = TrainOptions { optimizer: "sgd".parse().unwrap(), ..options() };
    let said = refused(&model(), &data(), &sgd);
    assert!(
        said.contains("it holds params [")
            && said.contains("v [")
            && said.contains("but this run needs params ["),
        "{said}"
    );
    let batch = TrainOptions { batch_size: 8, ..options() };
    assert!(
        refused(&model(), &data(), &batch).contains("its steps are of 16 rows, but these of 8")
    );
    let short = TrainOptions { epochs: 2, ..options() };
    assert!(refused(&model(), &data(), &short).contains("epochs: 2, but epoch 3 has begun"));
}

/// A run that nobody drives does not use the checkpoint up; other weights take it away.
#[test]
fn a_checkpoint_waits_for_the_run_that_goes_on_from_it() {
    let checkpoint = half_way(&options());
    let epochs = |trainer: &mut Trainer| -> Vec<u32> {
        let events = trainer.fit().map(Result::unwrap);
        let epochs = events.filter_map(|event| match event {
            Event::Epoch(stats) => Some(stats.epoch),
            _ => None,
        });
        epochs.collect()
    };
    let mut trainer = Trainer::new(&model(), &data(), &options(), &DeviceKind::Cpu).unwrap();
    trainer.resume(checkpoint.clone()).unwrap();
    let error = trainer.step().unwrap_err().to_string();
    assert!(error.starts_with("checkpoint: steps by hand do not go on"), "{error}");
    drop(trainer.fit());
    assert_eq!(epochs(&mut trainer), [4, 5, 6, 7]);
    // It is used up now.
    assert_eq!(epochs(&mut trainer), [1, 2, 3, 4, 5, 6, 7]);
    trainer.resume(checkpoint).unwrap();
    let params = trainer.trained().params;
    trainer.set_params(&params).unwrap();
    assert_eq!(epochs(&mut trainer), [1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn other_bits_are_told_of() {
    let checkpoint = half_way(&options());
    let faster = TrainOptions { lr: 0.03, epochs: 9, ..options() };
    let mut trainer = Trainer::new(&model(), &data(), &faster, &DeviceKind::Cpu).unwrap();
    trainer.resume(checkpoint).unwrap();
    let events: Vec<Event> = trainer.fit().map(Result::unwrap).collect();
    let told = events.iter().find_map(|event| match event {
        Event::Warned(warning @ Warning::OtherBits { .. }) => Some(warning.to_string()),
        _ => None,
    });
    assert!(told.unwrap().ends_with("lr: 0.03 (it was lr: 0.02)"));
    let epochs: Vec<u32> = events
        .iter()
        .filter_map(|event| if let Event::Epoch(stats) = event { Some(stats.epoch) } else { None })
        .collect();
    assert_eq!(epochs, [4, 5, 6, 7, 8, 9]);
}

/// A file that an earlier version wrote, whose settings are a text of Rust's. Names in it are compared with today's options.
#[test]
fn a_checkpoint_of_an_earlier_format_goes_on() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stored");
    let table = Dataset::from_csv(folder.join("checkpoint_1.csv"), Target::Class("kind".into()));
    let seed = Seed(u64::MAX);
    let data = table.unwrap().split(0.2, seed).unwrap();
    let options = TrainOptions {
        loss: "focal(gamma=3)".parse().unwrap(),
        clip_norm: Some(1.0),
        average: Some("ema(decay=0.99)".parse().unwrap()),
        groups: vec!["bias: lr=0.5".parse().unwrap()],
        optimizer: "adamw(weight-decay=0.05)".parse().unwrap(),
        lr: 3e-3,
        schedule: "step(every=10, gamma=0.5)".parse().unwrap(),
        decay_schedule: "cosine".parse().unwrap(),
        keep: Some(KeepWeights::Best),
        accumulate: 2,
        seed,
        scale: wgrad::FeatureScaling::None,
        on_nonfinite: "skip".parse().unwrap(),
        batch_size: 8,
        epochs: 6,
        ..TrainOptions::default()
    };
    let model = Sequential::new().dense(3).relu().dense(2);
    let differences = |options: &TrainOptions| {
        let checkpoint = read_checkpoint(folder.join("checkpoint_1.safetensors")).unwrap();
        assert_eq!((checkpoint.epoch(), checkpoint.step()), (4, 0));
        let mut trainer = Trainer::new(&model, &data, options, &DeviceKind::Cpu).unwrap();
        trainer.resume(checkpoint).unwrap();
        let (mut settings, mut epochs) = (Vec::new(), Vec::new());
        for event in trainer.fit() {
            match event.unwrap() {
                Event::Warned(Warning::OtherBits { differences }) => settings = differences,
                Event::Epoch(stats) => epochs.push(stats.epoch),
                _ => {}
            }
        }
        assert_eq!(epochs, [5, 6]);
        // The processor's instruction set is another matter.
        settings.retain(|it| !it.starts_with("the device ") && !it.starts_with("wgrad is "));
        settings
    };
    assert_eq!(differences(&options), [""; 0]);
    let other = TrainOptions { lr: 0.01, schedule: "constant".parse().unwrap(), ..options };
    assert_eq!(
        differences(&other),
        [
            "lr: 0.01 (it was lr: 0.003)",
            "schedule: constant (it was schedule: step(every=10, gamma=0.5))"
        ]
    );
}

/// The tuner's choices are in the checkpoint: no file is needed to resume with the same bits.
#[cfg(feature = "gpu")]
#[test]
fn the_forms_of_kernels_come_from_the_checkpoint() {
    let options = options();
    // Steps as dispatches one by one, and whole ones in one dispatch, where the device would choose the other.
    for (forced, wide) in [(Some("tile_16x16"), 12), (Some("tile_64x64"), 200)] {
        let model = Sequential::mlp(&[wide, 8], Activation::Tanh, 3, Init::Pytorch);
        let new = |forced| {
            let mut device = common::gpu()?;
            device.force_variant(forced);
            Some(Trainer::with_device(&model, &data(), &options, Box::new(device)).unwrap())
        };
        let Some(mut whole) = new(forced) else { return };
        let epochs = train(&mut whole, None).0;
        let want = left(&mut whole, epochs);
        let mut first = new(forced).unwrap();
        let (mut epochs, checkpoint) = train(&mut first, Some(5));
        let forms = first.info().variants.clone();
        let mut second = new(None).unwrap();
        assert_ne!(second.info().variants, forms, "it makes no difference");
        second.resume(checkpoint.unwrap()).unwrap();
        assert_eq!(second.info().variants, forms);
        // A word on other bits would be a panic.
        epochs.extend(train(&mut second, None).0);
        assert!(left(&mut second, epochs) == want, "{forced:?}");
    }
}

#[test]
fn the_best_epochs_checkpoint_is_told_of_with_it() {
    let options = TrainOptions {
        keep: Some(KeepWeights::Best),
        lr: 0.2,
        epochs: 9,
        checkpoint_every: 4,
        ..options()
    };
    for kind in common::kinds() {
        let new = |options: &TrainOptions| Trainer::new(&model(), &data(), options, &kind).unwrap();
        let mut whole = new(&options);
        let mut best = None;
        let mut fit = whole.fit();
        while let Some(event) = fit.next() {
            let Event::Epoch(stats) = event.unwrap() else { continue };
            let kept = fit.trainer().kept().unwrap().epoch == stats.epoch;
            let told = fit.trainer().best_checkpoint();
            assert_eq!(told.map(|it| it.epoch()), kept.then_some(stats.epoch), "{kind}");
            best = told.cloned().or(best);
        }
        let best = best.unwrap();
        assert!((1..9).contains(&best.epoch()), "{kind}: {}", best.epoch());
        assert_eq!(whole.kept().unwrap().epoch, best.epoch());
        let mut again = new(&options);
        again.resume(Checkpoint::clone(&best)).unwrap();
        train(&mut again, None);
        assert!(left(&mut again, vec![]) == left(&mut whole, vec![]), "{kind}");
        let last = TrainOptions { keep: Some(KeepWeights::Last), ..options.clone() };
        let mut last = new(&last);
        train(&mut last, None);
        assert!(last.best_checkpoint().is_none());
    }
}
