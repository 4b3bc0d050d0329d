//! Several networks trained side by side on one device: the members of an ensemble, the folds of a cross-validation, the
//! trials of a search.
//!
//! In: members, a device, a job to do with each member's trainer. Out: the results of the jobs.
//! Absent on purpose: what the members are for, and the mean of their predictions.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::data::{Dataset, Preprocessing, Split};
use crate::device::{Device, MemberHandle, MemberHub, open_tuned};
use crate::error::Result;
use crate::model::Sequential;
use crate::plan::{Plan, TrainPlan};
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
    let (mut opened, _) = open_tuned(device, &first.options.tuning)?;
    let alone = |index: usize| {
        let Member { model, data, options } = &members[index];
        let mut trainer = Trainer::new(model, data, options, device)?;
        job(index, &mut trainer)
    };
    if opened.members().is_none() {
        // On the CPU one member for each core: the steps of one small network use one core only. Threads of their own, since
        // a thread of rayon's pool may take up another member while it waits for a part of its own step.
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        drop(opened);
        return Ok(share(threads, members.len(), alone));
    }
    let mut results: Vec<Option<Result<T>>> = members.iter().map(|_| None).collect();
    let groups = groups(opened.as_ref(), members);
    let mut device_of = Some(opened);
    for group in groups {
        let mut waiting = &group.members[..];
        // As many at once as the device has room for.
        let mut most = group.members.len();
        while !waiting.is_empty() {
            let (some, rest) = waiting.split_at(most.clamp(1, waiting.len()));
            let plan = if some.len() > 1 { group.plan(members, some) } else { None };
            let Some(plan) = plan else {
                device_of = None;
                results[some[0]] = Some(alone(some[0]));
                waiting = rest;
                continue;
            };
            let opened = match device_of.take() {
                Some(opened) => opened,
                None => open_tuned(device, &first.options.tuning)?.0,
            };
            match train_at_once(opened, &plan, (members, some), &job) {
                Ok((done, opened)) => {
                    some.iter().zip(done).for_each(|(&index, it)| results[index] = Some(it));
                    device_of = Some(opened);
                    waiting = rest;
                }
                // Fewer may fit; one alone has its own ways to do with little memory.
                Err(opened) => {
                    device_of = opened;
                    most = some.len() / 2;
                }
            }
        }
    }
    Ok(results.into_iter().map(|result| result.expect("each member was trained")).collect())
}

/// Members whose steps are the same, so that they can be in the same dispatches.
struct MemberGroup {
    /// Indices of the members.
    members: Vec<usize>,
    /// The plan of each; none for members that train alone.
    plans: Vec<TrainPlan>,
    /// True if all have the same training rows, prepared in the same way; and the same validation rows.
    same: (bool, bool),
}

impl MemberGroup {
    /// Returns the plan for some of the group's members, with room for the rows of each; none for members that train alone.
    fn plan(&self, members: &[Member], some: &[usize]) -> Option<Plan> {
        let first = self.plans.first()?;
        let chosen = |it: &(&usize, &TrainPlan)| some.contains(it.0);
        let plans = || self.members.iter().zip(&self.plans).filter(chosen).map(|it| it.1);
        let train = plans().map(|plan| plan.slot(plan.ports.train_x).matrix().0).max()?;
        let eval = |plan: &TrainPlan| Some(plan.slot(plan.eval?.eval_x).matrix().0);
        let eval = plans().filter_map(eval).max().unwrap_or(0);
        let plan = first.with_train_rows(train).with_eval_rows(eval);
        let mut shared = Vec::new();
        let ports = &plan.ports;
        if self.same.0 {
            shared.extend([ports.train_x, ports.train_y]);
            shared.extend(ports.train_weights);
        }
        // Validation rows that do not fit at once are written in parts, again in each epoch.
        let valid = members[self.members[0]].data.valid.as_ref().map_or(0, Dataset::rows);
        if self.same.1 && eval >= valid {
            shared.extend(plan.eval.map(|ports| ports.eval_x));
        }
        Some(plan.sharing(shared))
    }
}

/// Divides members into groups whose steps are the same. A member that cannot be planned is a group of its own: its error
/// comes when it is trained.
fn groups(device: &dyn Device, members: &[Member]) -> Vec<MemberGroup> {
    let mut groups: Vec<(Option<(TrainPlan, Preprocessing)>, MemberGroup)> = Vec::new();
    for (index, Member { model, data, options }) in members.iter().enumerate() {
        let alone = MemberGroup { members: vec![index], plans: vec![], same: (true, true) };
        let (plan, preparation) = match Trainer::planned(device, model, data, options) {
            Ok((Some(plan), preparation)) => (plan, preparation),
            Ok((None, _)) | Err(_) => {
                groups.push((None, alone));
                continue;
            }
        };
        let own = plan.without_own_values();
        let key = |it: &&mut (Option<(TrainPlan, Preprocessing)>, MemberGroup)| {
            it.0.as_ref().is_some_and(|(other, _)| *other == own)
        };
        match groups.iter_mut().find(key) {
            Some((Some((_, prepared)), group)) => {
                let first = &members[group.members[0]].data;
                let as_first = *prepared == preparation;
                group.same.0 &= as_first && first.train.same_rows(&data.train);
                group.same.1 &= as_first
                    && match (&first.valid, &data.valid) {
                        (Some(one), Some(other)) => one.same_rows(other),
                        (one, other) => one.is_none() && other.is_none(),
                    };
                group.members.push(index);
                group.plans.push(plan);
            }
            _ => {
                groups.push((Some((own, preparation)), MemberGroup { plans: vec![plan], ..alone }));
            }
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

/// Results of a group's jobs, and the device.
type GroupResults<T> = (Vec<Result<T>>, Box<dyn Device>);

/// Trains some members of a group in the same dispatches. Returns the results and the device; an error with the device if it
/// has no room for so many.
fn train_at_once<T: Send>(
    mut device: Box<dyn Device>,
    plan: &Plan,
    (members, some): (&[Member], &[usize]),
    job: &(impl Fn(usize, &mut Trainer) -> Result<T> + Sync),
) -> std::result::Result<GroupResults<T>, Option<Box<dyn Device>>> {
    let count = u32::try_from(some.len()).unwrap_or(u32::MAX);
    let most = device.members().map_or(1, |many| many.most_members(plan));
    let budget = members[some[0]].options.device_memory;
    let more = plan.bytes_for_members(count).saturating_sub(plan.bytes_for_members(1));
    let beyond = budget.is_some_and(|budget| device.bytes_for(plan).saturating_add(more) > budget);
    if count > most || beyond {
        return Err(Some(device));
    }
    // Running out of memory may have cost the device, so it is opened again.
    let handles = MemberHub::load(device, plan, count).map_err(|_| None)?;
    let hub = handles[0].hub();
    let told = format!("{count} networks train side by side");
    let work = |(index, handle): (usize, MemberHandle)| {
        let Member { model, data, options } = &members[index];
        let mut trainer = Trainer::for_member(model, data, options, handle, &told)?;
        job(index, &mut trainer)
    };
    let work = &work;
    let results = std::thread::scope(|scope| {
        let started = some.iter().copied().zip(handles);
        let threads: Vec<_> = started.map(|it| scope.spawn(move || work(it))).collect();
        let joined = threads.into_iter().map(|it| match it.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        joined.collect()
    });
    let hub = Arc::try_unwrap(hub).ok().expect("the handles of all members are gone");
    Ok((results, hub.into_device()))
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

#[cfg(test)]
#[cfg(feature = "gpu")]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;
    use crate::data::synth;
    use crate::device::gpu::GpuDevice;
    use crate::random::Seed;
    use crate::train::Event;

    /// Trains members side by side on a software adapter, which is lost in the second epoch if `lost` is true. Returns the
    /// bits of their weights, and the number of warnings of a lost device.
    fn trained(members: &[Member], lost: bool) -> (Vec<Vec<u32>>, usize) {
        let (device, _) = GpuDevice::open(&DeviceKind::Software).unwrap();
        let wgpu = device.wgpu().clone();
        let destroyed = AtomicBool::new(!lost);
        let group = groups(&device, members).remove(0);
        let some = group.members.clone();
        let plan = group.plan(members, &some).unwrap();
        let (warned, job) = (AtomicUsize::new(0), |index: usize, trainer: &mut Trainer| {
            let mut warnings = 0;
            for event in trainer.fit() {
                let in_second = match event? {
                    Event::Warned(crate::train::Warning::DeviceLost { same, .. }) => {
                        assert!(same);
                        warnings += 1;
                        false
                    }
                    Event::Epoch(stats) => stats.epoch == 1,
                    _ => false,
                };
                if in_second && index == 1 && !destroyed.swap(true, Ordering::SeqCst) {
                    wgpu.destroy();
                }
            }
            let bits = trainer.trained().params.arena().iter().map(|it| it.to_bits()).collect();
            Ok((bits, warnings))
        });
        let done = train_at_once(Box::new(device), &plan, (members, &some), &job);
        let (results, _) = done.ok().unwrap();
        let bits = results.into_iter().map(|result| {
            let (bits, warnings) = result.unwrap();
            warned.fetch_add(warnings, Ordering::SeqCst);
            bits
        });
        (bits.collect(), warned.into_inner())
    }

    #[test]
    fn members_go_on_with_the_same_bits_after_their_device_was_lost() {
        let required = std::env::var_os("REQUIRE_GPU").is_some();
        if !required && GpuDevice::open(&DeviceKind::Software).is_err() {
            return;
        }
        let data = synth::xor(120, 0.2, Seed(1)).split(0.25, Seed(1)).unwrap();
        let model = Sequential::new().dense(8).tanh().dense(2);
        let member = |seed| {
            let options = TrainOptions { epochs: 4, seed: Seed(seed), ..TrainOptions::default() };
            Member { model: model.clone(), data: data.clone(), options }
        };
        let members: Vec<Member> = (0..3).map(member).collect();
        let (want, warnings) = trained(&members, false);
        assert_eq!(warnings, 0);
        let (got, warnings) = trained(&members, true);
        assert!(got == want, "other weights");
        assert_eq!(warnings, 3);
    }
}
