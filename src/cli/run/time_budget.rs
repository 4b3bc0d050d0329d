//! Time of training: how long an epoch takes, and how many epochs a given time is enough for.
//!
//! In: networks, a time. Out: a number of epochs, which a run then has as if it had been given, so that it can be repeated.
//! Absent on purpose: stopping by the clock, after which a schedule would be cut off, and a repetition would end elsewhere.

use std::thread::available_parallelism;
use std::time::Instant;

use crate::cli::settings::RunConfig;
use crate::data::Split;
use crate::error::{Error, Result};
use crate::model::Sequential;
use crate::report::{Console, count as count_text, pluralize};
use crate::shape::number;
use crate::train::{DeviceKind, Event, Member, TrainOptions, Trainer, train_members};

/// Seconds after which a measurement ends with the next epoch.
const ENOUGH: f64 = 0.3;
/// Seconds after which a measurement ends within an epoch.
const MOST: f64 = 3.0;
/// Share of a time that training is planned for. The rest is for reading, the last figures, and a machine that is busier later.
const PLANNED: f64 = 0.9;

/// Writes a time as people say it.
pub(super) fn time_text(seconds: f64) -> String {
    // Two digits are as exact as such a time is.
    let told = |value: f64| {
        let digits = if value < 10.0 { 1 } else { 0 };
        let text = format!("{value:.digits$}");
        text.trim_end_matches(".0").to_string()
    };
    match seconds {
        it if it < 1.0 => format!("{} ms", told(1e3 * it)),
        it if it < 120.0 => format!("{} s", told(it)),
        it if it < 7200.0 => format!("{} min", told(it / 60.0)),
        it => format!("{} h", told(it / 3600.0)),
    }
}

/// Speed of training of several networks, as it was measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct MeasuredEpoch {
    /// Seconds that an epoch of all networks takes.
    pub(super) all: f64,
    /// True if the networks share the cores of a CPU, so that half of them take half of the time.
    pub(super) shares_cores: bool,
}

/// Trains networks for about a third of a second, or for a part of an epoch if that takes long.
///
/// # Errors
/// If they cannot be trained.
pub(super) fn measure_epoch(members: &[Member], device: &DeviceKind) -> Result<MeasuredEpoch> {
    let threads = available_parallelism().map_or(1, usize::from);
    // All at once: on a CPU the first ones of them, one a core.
    let measured = train_members(members, device, |index, trainer| {
        let on_cpu = trainer.info().device.is_cpu();
        let skipped = on_cpu && index >= threads;
        let seconds = if skipped { None } else { Some(epoch_seconds(trainer)?) };
        Ok((seconds, on_cpu))
    })?;
    let (mut slowest, mut shares_cores) = (0.0_f64, false);
    for result in measured {
        let (seconds, on_cpu) = result?;
        slowest = slowest.max(seconds.unwrap_or(0.0));
        shares_cores = on_cpu;
    }
    let turns =
        if shares_cores { members.len() as f64 / members.len().min(threads) as f64 } else { 1.0 };
    Ok(MeasuredEpoch { all: slowest * turns, shares_cores })
}

/// Returns the seconds of an epoch of one network, validation included.
fn epoch_seconds(trainer: &mut Trainer) -> Result<f64> {
    let begun = Instant::now();
    let mut first = None;
    for event in trainer.fit() {
        let so_far = begun.elapsed().as_secs_f64();
        match event? {
            Event::Epoch(stats) => match first {
                // The first one has what is done once, such as filling memory.
                None if so_far < ENOUGH && stats.epoch == 1 => first = Some(so_far),
                None => return Ok(so_far / f64::from(stats.epoch)),
                Some(first) if so_far >= ENOUGH => {
                    return Ok((so_far - first) / f64::from(stats.epoch - 1));
                }
                Some(_) => {}
            },
            Event::Progress(progress) if so_far > MOST && progress.epoch == 1 => {
                return Ok(so_far * progress.steps as f64 / progress.step.max(1) as f64);
            }
            Event::Finished(summary) => {
                return Ok(so_far / f64::from(summary.epochs.max(1)));
            }
            _ => {}
        }
    }
    Ok(begun.elapsed().as_secs_f64())
}

/// Returns the epochs of a run with `--time-budget` and what is to be told of them; `None` for a run without. `count` networks train,
/// each with about these rows.
///
/// # Errors
/// If the networks cannot be trained.
pub(super) fn epochs_in_time(
    config: &RunConfig,
    (model, data): (&Sequential, &Split),
    options: &TrainOptions,
    count: u32,
) -> Result<Option<(u32, String)>> {
    let Some(time) = config.time_budget else { return Ok(None) };
    let member = |member| {
        let seed = options.seed.of_member(member);
        let options = TrainOptions { seed, ..options.clone() };
        Member { model: model.clone(), data: data.clone(), options }
    };
    let members: Vec<Member> = (0..count).map(member).collect();
    let located = |error| config.locate(error);
    let epoch = measure_epoch(&members, &config.device).map_err(located)?.all;
    let epochs = within(time, epoch, options.epochs);
    // A warm-up that is longer than the run would be refused later with another number of epochs than the one that was given.
    if options.warmup > f64::from(epochs) {
        let problem = format!(
            "{} are enough for {} only, and --warmup takes {}; give more time, or less warm-up",
            time_text(time),
            pluralize(epochs.into(), "epoch"),
            number(options.warmup)
        );
        return Err(Error::setting("--time-budget", problem));
    }
    let took = format!("an epoch takes {}", time_text(epoch));
    let networks = if count > 1 { format!(" for all {count} networks") } else { String::new() };
    let text = if epoch > time {
        format!(
            "{took}{networks}, longer than the {} that were given; it trains for 1 epoch all the same",
            time_text(time)
        )
    } else if epochs < options.epochs {
        format!(
            "{took}{networks}, so that {} are enough for {} of {}",
            time_text(time),
            count_text(epochs.into()),
            pluralize(options.epochs.into(), "epoch")
        )
    } else {
        let all = pluralize(epochs.into(), "epoch");
        format!("{took}{networks}, so that {} are enough for all {all}", time_text(time))
    };
    Ok(Some((epochs, text)))
}

/// Returns how many epochs a time is enough for: at least one, at most `most`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the number lies between 1 and a number of epochs"
)]
pub(super) fn within(time: f64, epoch: f64, most: u32) -> u32 {
    (PLANNED * time / epoch.max(1e-9)).floor().clamp(1.0, f64::from(most.max(1))) as u32
}

/// Tells how many epochs a run with `--time-budget` has.
pub(super) fn tell(text: &str, quiet: bool) {
    if !quiet {
        Console::stderr().say("time", text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Seed;

    #[test]
    fn times_are_told_in_two_digits() {
        for (seconds, want) in [
            (0.0123, "12 ms"),
            (0.5, "500 ms"),
            (6.0, "6 s"),
            (25.21, "25 s"),
            (1.26, "1.3 s"),
            (600.0, "10 min"),
            (9000.0, "2.5 h"),
        ] {
            assert_eq!(time_text(seconds), want);
        }
    }

    #[test]
    fn epochs_fit_into_the_time() {
        assert_eq!(within(10.0, 0.5, 256), 18);
        assert_eq!(within(10.0, 0.001, 256), 256);
        assert_eq!(within(1.0, 5.0, 256), 1);
    }

    #[test]
    fn an_epoch_of_several_networks_is_measured() {
        let data = crate::data::synth::xor(64, 0.2, Seed(1)).split(0.25, Seed(1)).unwrap();
        let model = Sequential::new().dense(4).tanh().dense(2);
        let options = TrainOptions { epochs: 10_000, ..TrainOptions::default() };
        let member = Member { model, data, options };
        let one = measure_epoch(std::slice::from_ref(&member), &DeviceKind::Cpu).unwrap();
        let many = measure_epoch(&vec![member; 64], &DeviceKind::Cpu).unwrap();
        for measured in [one, many] {
            assert!(measured.shares_cores && measured.all > 0.0, "{measured:?}");
        }
    }
}
