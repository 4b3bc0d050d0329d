//! Ranks that are threads of one process: for tests, and for several devices in one machine.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

use super::{Exchange, PendingSum, Ranks, Share, failed, summed};
use crate::error::Result;

/// Messages of one round, and those of the round before.
#[derive(Default)]
struct MeetingRound {
    number: u64,
    given: Vec<Option<Vec<u8>>>,
    /// Messages of the round that ended last.
    ended: Arc<Vec<Vec<u8>>>,
    /// A rank that was dropped.
    gone: Option<usize>,
}

/// The meeting point of all ranks.
#[derive(Default)]
struct Meeting {
    round: Mutex<MeetingRound>,
    changed: Condvar,
}

/// One rank's side of the meeting point.
struct ThreadRank {
    share: Share,
    /// For each rank the lowest one of the same machine.
    machines: Vec<usize>,
    meeting: Arc<Meeting>,
}

/// Returns so many ranks within this process, each for a thread of its own.
pub fn thread_ranks(count: usize) -> Vec<Ranks> {
    thread_ranks_on(&vec![0; count])
}

/// Returns ranks within this process as if they were on several machines, of which each is known by its lowest rank.
pub(crate) fn thread_ranks_on(machines: &[usize]) -> Vec<Ranks> {
    let count = machines.len();
    let meeting = Arc::new(Meeting::default());
    meeting.round.lock().unwrap_or_else(PoisonError::into_inner).given = vec![None; count];
    let of_rank = |rank| {
        let share = Share { rank, count };
        let (machines, meeting) = (machines.to_vec(), Arc::clone(&meeting));
        Ranks::new(Arc::new(ThreadRank { share, machines, meeting }))
    };
    (0..count).map(of_rank).collect()
}

impl Exchange for ThreadRank {
    fn share(&self) -> Share {
        self.share
    }

    fn gather(&self, mine: Vec<u8>) -> Result<Vec<Vec<u8>>> {
        let mut round = self.meeting.round.lock().unwrap_or_else(PoisonError::into_inner);
        let number = round.number;
        round.given[self.share.rank] = Some(mine);
        if round.given.iter().all(Option::is_some) {
            let given = round.given.iter_mut().map(|it| it.take().unwrap_or_default()).collect();
            round.ended = Arc::new(given);
            round.number += 1;
            self.meeting.changed.notify_all();
        }
        // The next round cannot end before this rank has given its part of it.
        while round.number == number {
            if let Some(gone) = round.gone {
                return Err(failed(&format!("rank {gone} of {} is gone", self.share.count)));
            }
            round = self.meeting.changed.wait(round).unwrap_or_else(PoisonError::into_inner);
        }
        Ok(round.ended.to_vec())
    }

    fn begin_sum(&self, values: Vec<f32>) -> PendingSum {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let floats = |bytes: Vec<u8>| -> Vec<f32> {
            bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
        };
        PendingSum::known(self.gather(bytes).map(|all| summed(all.into_iter().map(floats))))
    }

    fn machines(&self) -> Vec<usize> {
        self.machines.clone()
    }
}

impl Drop for ThreadRank {
    fn drop(&mut self) {
        let mut round = self.meeting.round.lock().unwrap_or_else(PoisonError::into_inner);
        round.gone = Some(self.share.rank);
        self.meeting.changed.notify_all();
    }
}
