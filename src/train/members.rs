//! Several networks trained side by side on one device: the members of an ensemble, the folds of a cross-validation, the
//! trials of a search.
//!
//! In: members, a device, a job to do with each member's trainer. Out: the results of the jobs.
//! Absent on purpose: what the members are for, and the mean of their predictions.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::data::Split;
use crate::device::{DeviceInfo, open_tuned};
use crate::error::Result;
use crate::model::Sequential;
use crate::train::{DeviceKind, TrainOptions, Trainer};

/// A network of several that are trained side by side: its layers, rows and options. Copies of a [`Split`] share its rows.
#[derive(Clone, Debug)]
pub struct Member {
    /// The layers.
    pub model: Sequential,
    /// The rows to learn from, and those to judge by.
    pub data: Split,
    /// The options, with the member's own seed, learning rate and so on.
    pub options: TrainOptions,
}

/// Trains several networks side by side. `job` gets a member's index and its [`Trainer`], and trains it in any way, such as
/// by [`Trainer::run`] or [`Trainer::fit`]; it is called once for each member, from several threads at once. Returns the
/// results of the jobs in the order of the members: a member that fails leaves the others alone.
///
/// Each member has the same bits as if it had been trained alone on the device.
///
/// ```
/// use wgrad::prelude::*;
/// use wgrad::train::{Member, train_members};
///
/// let data = wgrad::data::synth::xor(200, 0.2, Seed(1)).split(0.25, Seed(1))?;
/// let model = Sequential::new().dense(8).tanh().dense(2);
/// let member = |seed| {
///     let options = TrainOptions { epochs: 40, lr: 0.02, seed: Seed(seed), ..TrainOptions::default() };
///     Member { model: model.clone(), data: data.clone(), options }
/// };
/// let members: Vec<Member> = (0..3).map(member).collect();
/// let trained = train_members(&members, &DeviceKind::Cpu, |_, trainer| {
///     trainer.run()?;
///     Ok(trainer.trained())
/// })?;
/// assert_eq!(trained.into_iter().filter(Result::is_ok).count(), 3);
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// # Errors
/// If the device cannot be opened. Errors of a member are in its result.
pub fn train_members<T: Send>(
    members: &[Member],
    device: &DeviceKind,
    job: impl Fn(usize, &mut Trainer) -> Result<T> + Sync,
) -> Result<Vec<Result<T>>> {
    let Some(first) = members.first() else { return Ok(Vec::new()) };
    // Opened once before any member begins, so that a missing adapter is one error and not one for each member.
    let (opened, _) = open_tuned(device, &first.options.tuning)?;
    let threads = threads_for(opened.info());
    drop(opened);
    Ok(share(threads, members.len(), |index| {
        let Member { model, data, options } = &members[index];
        let mut trainer = Trainer::new(model, data, options, device)?;
        job(index, &mut trainer)
    }))
}

/// Returns how many members a device trains at once: on the CPU one for each core, since steps of one small network use
/// one core only; elsewhere one after the other.
fn threads_for(device: &DeviceInfo) -> usize {
    if device.is_cpu() { std::thread::available_parallelism().map_or(1, usize::from) } else { 1 }
}

/// Does `count` pieces of work on at most `threads` threads, each taking the next piece as it becomes free. Returns the
/// results in the order of the pieces.
fn share<T: Send>(threads: usize, count: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let threads = threads.min(count);
    if threads <= 1 {
        return (0..count).map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let results: Vec<Mutex<Option<T>>> = (0..count).map(|_| Mutex::new(None)).collect();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= count {
                        break;
                    }
                    let result = work(index);
                    *results[index].lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
                }
            });
        }
    });
    let done =
        results.into_iter().map(|it| it.into_inner().unwrap_or_else(PoisonError::into_inner));
    done.map(|result| result.expect("each piece was done")).collect()
}
