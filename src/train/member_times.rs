//! Times of several networks that train side by side.
//!
//! In: a workload, a device, a number of networks. Out: a [`MemberMeasurement`].
//! Absent on purpose: tables and options; `members.rs` trains on those.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Barrier, Mutex, PoisonError};
use std::time::Duration;

use super::Workload;
use super::workload::time;
use crate::device::cpu::CpuDevice;
use crate::device::{Device, MemberHub};
use crate::error::Result;
use crate::host::Instant;
use crate::plan::TrainPlan;
use crate::shape::narrow;

/// Times of several networks side by side.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MemberMeasurement {
    /// Number of networks.
    pub members: usize,
    /// Seconds of one step of all networks: the median.
    pub step_seconds: f64,
    /// The fastest and the slowest block, by step.
    pub spread: (f64, f64),
}

impl Workload {
    /// Times steps of several networks at once, as [`super::train_members`] trains them, for about `budget`. All begin with
    /// the same weights, and their first losses must be those of one network alone. Returns `None` if the device cannot
    /// hold so many side by side.
    ///
    /// # Errors
    /// If losses are wrong, or the device failed or is too small.
    pub fn measure_members(
        &self,
        mut device: Box<dyn Device>,
        members: usize,
        budget: Duration,
    ) -> Result<Option<MemberMeasurement>> {
        let plan = self.plan()?;
        let (want, _) = self.begin(device.as_mut(), &plan)?;
        let (devices, threads) = if device.members().is_some() && members > 1 {
            let count = narrow(members);
            let most = device.members().map_or(1, |many| many.most_members(&plan));
            if count > most {
                return Ok(None);
            }
            let handles = MemberHub::load(device, &plan, count)?;
            let boxed = |handle| Box::new(handle) as Box<dyn Device>;
            (handles.into_iter().map(boxed).collect(), members)
        } else if device.info().is_cpu() {
            let open = |_| Box::new(CpuDevice::<f32>::new()) as Box<dyn Device>;
            let cores = std::thread::available_parallelism().map_or(1, usize::from);
            ((0..members).map(open).collect::<Vec<_>>(), cores.min(members))
        } else {
            (vec![device], 1)
        };
        let times = self.time_members((devices, threads), &plan, &want, budget)?;
        let middle = times[times.len() / 2];
        let spread = (times[0], times[times.len() - 1]);
        Ok(Some(MemberMeasurement { members, step_seconds: middle, spread }))
    }

    /// Times blocks of steps of all devices at once, sorted, by step.
    fn time_members(
        &self,
        (mut devices, threads): (Vec<Box<dyn Device>>, usize),
        plan: &TrainPlan,
        want: &[f32],
        budget: Duration,
    ) -> Result<Vec<f64>> {
        let each = devices.len().div_ceil(threads);
        let barrier = Barrier::new(devices.len().div_ceil(each));
        let steps = AtomicU32::new(1);
        let times = Mutex::new(Vec::new());
        let failed = AtomicBool::new(false);
        let work = |some: &mut [Box<dyn Device>], leads: bool| -> Result<()> {
            let begun = Instant::now();
            let outcome = some.iter_mut().try_for_each(|device| {
                let (losses, _) = self.begin(device.as_mut(), plan)?;
                self.compare(device.as_ref(), "losses of a member", &losses, want)
            });
            // A thread that fails must not leave the others waiting for it.
            let mut outcome = outcome.inspect_err(|_| failed.store(true, Ordering::SeqCst));
            loop {
                barrier.wait();
                let count = steps.load(Ordering::SeqCst);
                let enough = count == 0 || failed.load(Ordering::SeqCst);
                barrier.wait();
                if enough {
                    return outcome;
                }
                let started = Instant::now();
                if let Err(error) =
                    some.iter_mut().try_for_each(|it| time(it.as_mut(), count).map(drop))
                {
                    failed.store(true, Ordering::SeqCst);
                    outcome = Err(error);
                }
                barrier.wait();
                if leads {
                    let seconds = started.elapsed().as_secs_f64();
                    steps.store(
                        self.next_block(count, seconds, &times, (begun, budget)),
                        Ordering::SeqCst,
                    );
                }
            }
        };
        let work = &work;
        let outcomes: Vec<Result<()>> = std::thread::scope(|scope| {
            let parts = devices.chunks_mut(each).enumerate();
            let started: Vec<_> =
                parts.map(|(at, some)| scope.spawn(move || work(some, at == 0))).collect();
            let joined = started.into_iter().map(|it| match it.join() {
                Ok(outcome) => outcome,
                Err(panic) => std::panic::resume_unwind(panic),
            });
            joined.collect()
        });
        outcomes.into_iter().collect::<Result<()>>()?;
        let mut times = times.into_inner().unwrap_or_else(PoisonError::into_inner);
        times.sort_by(f64::total_cmp);
        Ok(times)
    }

    /// Notes the time of a block, once blocks are long enough, and returns the steps of the next one; 0 for no more.
    fn next_block(
        &self,
        steps: u32,
        seconds: f64,
        times: &Mutex<Vec<f64>>,
        (begun, budget): (Instant, Duration),
    ) -> u32 {
        let mut times = times.lock().unwrap_or_else(PoisonError::into_inner);
        // Blocks of about 50 ms, so that the wait at their ends does not count for much.
        if times.is_empty() && seconds < 0.05 && steps < 1000 {
            return (steps * 4).min(1000);
        }
        times.push(seconds / f64::from(steps));
        if times.len() < 5 || (begun.elapsed() < budget && times.len() < 1000) { steps } else { 0 }
    }
}
