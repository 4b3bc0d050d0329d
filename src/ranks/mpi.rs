//! Ranks that are processes under MPI.
//!
//! A thread of its own makes all calls of MPI, in the order in which they are asked for: so a sum can go on while the
//! backward pass does, and MPI needs no support of several threads beyond one at a time.
//!
//! `MPI_SUM` promises no order of additions. So each rank adds one slice of the values of all, in the order of the ranks,
//! and hands the sum to all others.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ::mpi::collective::CommunicatorCollectives;
use ::mpi::collective::Root;
use ::mpi::datatype::{Partition, PartitionMut};
use ::mpi::topology::{Communicator, SimpleCommunicator};
use ::mpi::{Count, Threading};

use super::{Exchange, PendingSum, Ranks, Share, failed};
use crate::error::{Error, Result};

/// Largest number of elements of one call: counts of MPI have 31 bits.
const MOST: usize = 1 << 28;

/// Time for which a rank waits for the others without a pause, so that a message of training is not late.
const AT_ONCE: Duration = Duration::from_millis(20);
/// Pause of a rank that waits longer, as for one that reads a table: MPI itself would keep a core busy.
const PAUSE: Duration = Duration::from_millis(1);

/// Work for the thread that calls MPI.
enum MpiCall {
    Gather(Vec<u8>, Sender<Result<Vec<Vec<u8>>>>),
    Sum(Vec<f32>, Sender<Result<Vec<f32>>>),
    /// Ends all ranks with this exit code.
    Abort(i32),
}

/// This process among those of MPI. Dropping it ends MPI, for which it waits until all ranks do so.
struct MpiRank {
    share: Share,
    /// For each rank the lowest one of the same machine.
    machines: Vec<usize>,
    /// `None` once the thread has to end.
    requests: Mutex<Option<Sender<MpiCall>>>,
    thread: Option<JoinHandle<()>>,
}

/// Starts MPI, once in a process, and returns this process as one of its ranks.
///
/// # Errors
/// If MPI was started before, or the system gives no thread.
pub fn of_mpi() -> Result<Ranks> {
    let (requests, asked) = channel();
    let (tell, told) = channel();
    let work = move || match ::mpi::initialize_with_threading(Threading::Serialized) {
        None => drop(tell.send(None)),
        Some((universe, level)) => {
            let world = universe.world();
            let number = |count: i32| usize::try_from(count).unwrap_or(0);
            let share = Share { rank: number(world.rank()), count: number(world.size()) };
            // Of the levels in between, only this thread's own calls matter.
            let enough = level >= Threading::Funneled;
            let machines = enough.then(|| machines(&world, share));
            let _ = tell.send(machines.map(|machines| (share, machines)));
            serve(&world, share, &asked);
        }
    };
    let thread = std::thread::Builder::new().name("wgrad mpi".to_string()).spawn(work);
    let thread = thread.map_err(|error| failed(&format!("the system gives no thread: {error}")))?;
    let told = told.recv().ok().flatten();
    let (share, machines) = told.ok_or_else(|| {
        failed("MPI does not start, was started before, or allows no threads beside its own")
    })?;
    let rank =
        MpiRank { share, machines, requests: Mutex::new(Some(requests)), thread: Some(thread) };
    let rank = Arc::new(rank);
    *ABORT.lock().unwrap_or_else(PoisonError::into_inner) = rank.sender();
    Ok(Ranks::new(rank))
}

/// The way to the thread that calls MPI, for [`abort`].
static ABORT: Mutex<Option<Sender<MpiCall>>> = Mutex::new(None);

/// Ends all ranks with an exit code, if this process is one of MPI; else returns.
pub fn abort(code: u8) {
    let sender = ABORT.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some(sender) = sender else { return };
    // The thread may be inside a call that waits for other ranks, which only the end of this process ends.
    if sender.send(MpiCall::Abort(code.into())).is_ok() {
        std::thread::sleep(std::time::Duration::from_secs(2));
    }
}

/// Does what is asked for until nobody can ask any more.
fn serve(world: &SimpleCommunicator, share: Share, asked: &Receiver<MpiCall>) {
    while let Ok(request) = asked.recv() {
        // Whoever has asked may have gone on without the answer.
        match request {
            MpiCall::Gather(mine, tell) => drop(tell.send(gather(world, share, &mine))),
            MpiCall::Sum(values, tell) => drop(tell.send(sum(world, share, values))),
            MpiCall::Abort(code) => world.abort(code),
        }
    }
}

/// Returns numbers of elements, and the place of each rank's first one, as MPI counts.
fn places(counts: &[usize]) -> Result<(Vec<Count>, Vec<Count>)> {
    let count = |value: usize| Count::try_from(value).map_err(|_| failed("too much at once"));
    let firsts = counts.iter().scan(0, |next, &len| {
        let first = *next;
        *next += len;
        Some(first)
    });
    let firsts = firsts.map(count).collect::<Result<_>>()?;
    Ok((counts.iter().copied().map(count).collect::<Result<_>>()?, firsts))
}

/// Returns for each rank the lowest one with which it shares memory.
fn machines(world: &SimpleCommunicator, share: Share) -> Vec<usize> {
    let machine = world.split_shared(world.rank());
    // Ranks of a machine are in the order of all ranks.
    let mut lowest = share.rank as u64;
    machine.process_at_rank(0).broadcast_into(&mut lowest);
    let mut all = vec![0_u64; share.count];
    world.all_gather_into(&lowest, &mut all[..]);
    all.iter().map(|&rank| usize::try_from(rank).unwrap_or(0)).collect()
}

/// Waits until all ranks are here.
fn meet(world: &SimpleCommunicator) {
    let begun = Instant::now();
    let mut all_here = world.immediate_barrier();
    while let Err(waiting) = all_here.test() {
        all_here = waiting;
        if begun.elapsed() > AT_ONCE {
            std::thread::sleep(PAUSE);
        } else {
            std::thread::yield_now();
        }
    }
}

fn gather(world: &SimpleCommunicator, share: Share, mine: &[u8]) -> Result<Vec<Vec<u8>>> {
    meet(world);
    let mut counts = vec![0_u64; share.count];
    world.all_gather_into(&(mine.len() as u64), &mut counts[..]);
    let lens: Vec<usize> = counts.iter().map(|&it| usize::try_from(it).unwrap_or(0)).collect();
    let (counts, firsts) = places(&lens)?;
    let mut all = vec![0_u8; lens.iter().sum()];
    world.all_gather_varcount_into(mine, &mut PartitionMut::new(&mut all[..], counts, firsts));
    let mut rest = &all[..];
    let part = |len: &usize| {
        let (part, left) = rest.split_at(*len);
        rest = left;
        part.to_vec()
    };
    Ok(lens.iter().map(part).collect())
}

fn sum(world: &SimpleCommunicator, share: Share, mut values: Vec<f32>) -> Result<Vec<f32>> {
    for values in values.chunks_mut(MOST / share.count) {
        let of = |rank| Share { rank, ..share }.of(values.len());
        let lens: Vec<usize> = (0..share.count).map(of).collect();
        let (counts, firsts) = places(&lens)?;
        // Each rank gets its slice of all ranks' values, and adds them in the order of the ranks.
        let own = lens[share.rank];
        let mut parts = vec![0.0_f32; own * share.count];
        let (own_counts, own_firsts) = places(&vec![own; share.count])?;
        world.all_to_all_varcount_into(
            &Partition::new(&*values, &counts[..], &firsts[..]),
            &mut PartitionMut::new(&mut parts[..], own_counts, own_firsts),
        );
        let (sum, others) = parts.split_at_mut(own);
        for part in others.chunks_exact(own.max(1)) {
            sum.iter_mut().zip(part).for_each(|(sum, value)| *sum += value);
        }
        world.all_gather_varcount_into(&*sum, &mut PartitionMut::new(values, counts, firsts));
    }
    Ok(values)
}

impl MpiRank {
    fn sender(&self) -> Option<Sender<MpiCall>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn ask(&self, request: MpiCall) {
        if let Some(sender) = self.sender() {
            // Without the thread there is no answer, which whoever waits for one finds out.
            let _ = sender.send(request);
        }
    }
}

/// Returns the error of a thread that has ended early.
fn ended() -> Error {
    failed("the thread that calls MPI has ended")
}

impl Exchange for MpiRank {
    fn share(&self) -> Share {
        self.share
    }

    fn gather(&self, mine: Vec<u8>) -> Result<Vec<Vec<u8>>> {
        let (tell, told) = channel();
        self.ask(MpiCall::Gather(mine, tell));
        told.recv().unwrap_or_else(|_| Err(ended()))
    }

    fn begin_sum(&self, values: Vec<f32>) -> PendingSum {
        let (tell, told) = channel();
        self.ask(MpiCall::Sum(values, tell));
        PendingSum(told)
    }

    fn machines(&self) -> Vec<usize> {
        self.machines.clone()
    }
}

impl Drop for MpiRank {
    fn drop(&mut self) {
        // Both ways to the thread are closed, so that it ends, and MPI with it.
        ABORT.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = self.thread.take() {
            // If the thread panicked, that was reported on stderr.
            let _ = thread.join();
        }
    }
}
