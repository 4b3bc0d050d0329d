//! The device's own clock, and counts of what the host does.
//!
//! In: passes and submissions. Out: seconds of kernels, [`Usage`].
//! Absent on purpose: the use of these figures. Nothing here runs unless somebody measures.

use std::ops::Range;

use super::GpuDevice;
use super::encode::{dispatch, map};
use super::in_flight::DEPTH;
use crate::device::Usage;
use crate::error::Result;
use crate::host::Instant;
use crate::plan::Phase;
use crate::shape::narrow;

/// Number of timestamps that a query set may hold in WebGPU.
const QUERIES: u32 = 4096;
/// Bytes between the places that timestamps are resolved to, as WebGPU requires.
const RESOLVE_ALIGN: u64 = 256;
/// Bytes of a pass's two timestamps.
pub(super) const PAIR_BYTES: u64 = 16;

/// Pairs of timestamps, each with its own buffer to read: one for each submission in flight and one that is being read.
#[derive(Debug)]
pub(super) struct Stamps {
    set: wgpu::QuerySet,
    resolved: wgpu::Buffer,
    pub(super) read: Vec<wgpu::Buffer>,
    turn: usize,
}

impl Stamps {
    fn new(device: &wgpu::Device) -> Self {
        // One more than submissions in flight, so that a pair is free while the others are on their way.
        let slots = DEPTH + 1;
        let buffer = |size, usage| {
            let label = Some("timestamps");
            device.create_buffer(&wgpu::BufferDescriptor {
                label,
                size,
                usage,
                mapped_at_creation: false,
            })
        };
        let read = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let resolve = wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC;
        Self {
            set: queries(device, 2 * narrow(slots)),
            resolved: buffer(RESOLVE_ALIGN * slots as u64, resolve),
            read: (0..slots).map(|_| buffer(PAIR_BYTES, read)).collect(),
            turn: 0,
        }
    }

    /// Returns the index of the next submission's timestamps.
    pub(super) fn next(&mut self) -> usize {
        self.turn = (self.turn + 1) % self.read.len();
        self.turn
    }

    /// Returns the timestamps that a pass writes at its beginning and end.
    pub(super) fn writes(&self, turn: usize) -> wgpu::ComputePassTimestampWrites<'_> {
        pair(&self.set, turn)
    }

    /// Copies a pass's timestamps to a buffer that the host can map.
    pub(super) fn bring(&self, encoder: &mut wgpu::CommandEncoder, turn: usize) {
        let first = 2 * narrow(turn);
        let at = RESOLVE_ALIGN * turn as u64;
        encoder.resolve_query_set(&self.set, first..first + 2, &self.resolved, at);
        encoder.copy_buffer_to_buffer(&self.resolved, at, &self.read[turn], 0, PAIR_BYTES);
    }
}

/// Returns the beginning and end of a pass as the timestamps 2·index and 2·index + 1 of a set.
fn pair(set: &wgpu::QuerySet, index: usize) -> wgpu::ComputePassTimestampWrites<'_> {
    let first = 2 * narrow(index);
    wgpu::ComputePassTimestampWrites {
        query_set: set,
        beginning_of_pass_write_index: Some(first),
        end_of_pass_write_index: Some(first + 1),
    }
}

fn queries(device: &wgpu::Device, count: u32) -> wgpu::QuerySet {
    device.create_query_set(&wgpu::QuerySetDescriptor {
        label: Some("timestamps"),
        ty: wgpu::QueryType::Timestamp,
        count,
    })
}

/// Returns the seconds between the timestamps of each pair; `period` is a tick's nanoseconds. A clock that went back gives 0.
pub(super) fn seconds(ticks: &[u64], period: f32) -> Vec<f64> {
    let pairs = ticks.chunks_exact(2);
    pairs.map(|pair| pair[1].saturating_sub(pair[0]) as f64 * f64::from(period) * 1e-9).collect()
}

/// Counts since the measuring began.
#[derive(Debug)]
pub(super) struct Meter {
    pub(super) counts: Usage,
    /// Timestamps, if the adapter has them.
    pub(super) stamps: Option<Stamps>,
    begun: Instant,
}

impl Meter {
    pub(super) fn new(device: &wgpu::Device) -> Self {
        let mut meter = Self { counts: Usage::default(), stamps: None, begun: Instant::now() };
        meter.renew(device);
        meter
    }

    /// Makes new places for timestamps, none of which is in use.
    pub(super) fn renew(&mut self, device: &wgpu::Device) {
        let has = device.features().contains(wgpu::Features::TIMESTAMP_QUERY);
        self.stamps = has.then(|| Stamps::new(device));
    }

    /// Returns the counts so far and starts them anew.
    pub(super) fn take(&mut self) -> Usage {
        let counts = std::mem::take(&mut self.counts);
        let seconds = std::mem::replace(&mut self.begun, Instant::now()).elapsed().as_secs_f64();
        Usage { seconds, by_timestamps: self.stamps.is_some(), ..counts }
    }

    pub(super) fn uploaded(&mut self, bytes: u64) {
        self.counts.uploads += 1;
        self.counts.uploaded_bytes += bytes;
    }

    pub(super) fn read(&mut self, bytes: u64) {
        self.counts.reads += 1;
        self.counts.read_bytes += bytes;
    }
}

/// Runs steps with each dispatch in a pass of its own and timestamps around it, as [`crate::device::Device::time_steps`]
/// describes.
pub(super) fn time_steps(
    gpu: &GpuDevice,
    phase: Phase,
    steps: Range<u32>,
) -> Result<Option<Vec<Vec<f64>>>> {
    let loaded = gpu.loaded()?;
    let ready = loaded.steps(phase);
    // Each pass takes two of the set's timestamps, which limits the steps that are timed at once.
    let fit = (QUERIES as usize / 2).checked_div(ready.len()).unwrap_or(0);
    let has = gpu.device.features().contains(wgpu::Features::TIMESTAMP_QUERY);
    if !has || fit == 0 {
        return Ok(None);
    }
    let steps = steps.start..steps.end.min(steps.start + narrow(fit));
    let passes = EachPass::new(&gpu.device, steps.len() * ready.len());
    let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    // Step after step, so that every dispatch runs on the values that its step would give it.
    let runs = steps.clone().flat_map(|step| ready.iter().map(move |ready| (step, ready)));
    for (index, (step, ready)) in runs.enumerate() {
        let timestamp_writes = Some(passes.writes(index));
        let descriptor = wgpu::ComputePassDescriptor { label: None, timestamp_writes };
        dispatch(&mut encoder.begin_compute_pass(&descriptor), step, ready, 1);
    }
    passes.bring(&mut encoder);
    let index = gpu.queue.submit([encoder.finish()]);
    let mapped = map(&passes.read, passes.bytes());
    gpu.wait(Some(index))?;
    let ticks: Vec<u64> = gpu.collect(&passes.read, passes.bytes(), &mapped)?;
    let taken = seconds(&ticks, gpu.queue.get_timestamp_period());
    // Several dispatches of one plan step count as one.
    let of_step = |seconds: &[f64]| {
        let mut sums = vec![0.0; loaded.plan.steps(phase).len()];
        ready.iter().zip(seconds).for_each(|(ready, s)| sums[ready.step] += s);
        sums
    };
    Ok(Some(taken.chunks_exact(ready.len()).map(of_step).collect()))
}

/// Timestamps around each dispatch of some steps.
struct EachPass {
    set: wgpu::QuerySet,
    resolved: wgpu::Buffer,
    read: wgpu::Buffer,
    /// Number of passes.
    count: usize,
}

impl EachPass {
    /// Makes timestamps for `count` passes, at most half of [`QUERIES`].
    fn new(device: &wgpu::Device, count: usize) -> Self {
        let size = PAIR_BYTES * count as u64;
        let buffer = |usage| {
            let label = Some("timestamps");
            device.create_buffer(&wgpu::BufferDescriptor {
                label,
                size,
                usage,
                mapped_at_creation: false,
            })
        };
        Self {
            set: queries(device, 2 * u32::try_from(count).unwrap_or(QUERIES / 2)),
            resolved: buffer(wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC),
            read: buffer(wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST),
            count,
        }
    }

    fn writes(&self, index: usize) -> wgpu::ComputePassTimestampWrites<'_> {
        pair(&self.set, index)
    }

    /// Copies all timestamps to a buffer that the host can map.
    fn bring(&self, encoder: &mut wgpu::CommandEncoder) {
        let queries = 2 * narrow(self.count);
        encoder.resolve_query_set(&self.set, 0..queries, &self.resolved, 0);
        encoder.copy_buffer_to_buffer(&self.resolved, 0, &self.read, 0, self.bytes());
    }

    fn bytes(&self) -> u64 {
        PAIR_BYTES * self.count as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_become_seconds() {
        // A tick of 40 ns, as some GPUs have.
        assert_eq!(seconds(&[100, 125, 130, 130], 40.0), [25.0 * 40.0 * 1e-9, 0.0]);
        assert_eq!(seconds(&[7, 5], 1.0), [0.0]);
    }
}
