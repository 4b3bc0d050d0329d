//! Encodes steps as commands and step parameters as bytes, and requests results.
//!
//! In: the prepared dispatches of `load.rs`. Out: commands for the queue; only their encoder is created here.

use std::ops::Range;

use super::in_flight::MappedReceiver;
use super::limits::UNIFORM_STRIDE;
use super::load::{Loaded, PreparedDispatch};
use crate::graph::LOSS_NUMBERS;
use crate::plan::{Phase, SCALARS, StepParams};

/// Encodes some steps as commands in one pass, with timestamps around it if they are requested. Returns them, and the number
/// of dispatches.
pub(super) fn encode(
    device: &wgpu::Device,
    loaded: &Loaded,
    phase: Phase,
    steps: Range<u32>,
    timestamp_writes: Option<wgpu::ComputePassTimestampWrites<'_>>,
) -> (wgpu::CommandEncoder, u64) {
    in_one_pass(device, timestamp_writes, |pass| {
        let mut count = 0;
        let mut put = |step: u32, ready: &PreparedDispatch, steps: u32| {
            dispatch(pass, step, ready, steps);
            count += 1;
        };
        if let [sequence] = loaded.steps(phase)
            && sequence.many_steps
        {
            // The loops of a lane are limited in total, so one dispatch takes a limited number of steps.
            for first in steps.clone().step_by(sequence.most_steps as usize) {
                put(first, sequence, sequence.most_steps.min(steps.end - first));
            }
        } else {
            for step in steps {
                loaded.steps(phase).iter().for_each(|ready| put(step, ready, 1));
            }
        }
        count
    })
}

/// Encodes a part of one step as commands in one pass: the dispatches of some of the plan's steps. Returns them, and the number of
/// dispatches.
pub(super) fn encode_part(
    device: &wgpu::Device,
    loaded: &Loaded,
    (phase, step): (Phase, u32),
    part: &Range<usize>,
    timestamp_writes: Option<wgpu::ComputePassTimestampWrites<'_>>,
) -> (wgpu::CommandEncoder, u64) {
    in_one_pass(device, timestamp_writes, |pass| {
        let mut count = 0;
        for ready in loaded.steps(phase).iter().filter(|ready| part.contains(&ready.step)) {
            dispatch(pass, step, ready, 1);
            count += 1;
        }
        count
    })
}

/// Encodes a pass with timestamps around it if they are requested; `put` puts dispatches into it and counts them. Returns the commands
/// and that number.
fn in_one_pass(
    device: &wgpu::Device,
    timestamp_writes: Option<wgpu::ComputePassTimestampWrites<'_>>,
    put: impl FnOnce(&mut wgpu::ComputePass<'_>) -> u64,
) -> (wgpu::CommandEncoder, u64) {
    let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    let descriptor = wgpu::ComputePassDescriptor { label: None, timestamp_writes };
    let count = put(&mut encoder.begin_compute_pass(&descriptor));
    (encoder, count)
}

/// Encodes one dispatch of a step, or of `steps` steps from this one on if one dispatch runs many.
pub(super) fn dispatch(
    pass: &mut wgpu::ComputePass<'_>,
    step: u32,
    ready: &PreparedDispatch,
    steps: u32,
) {
    // The table has at most `WINDOW` rows, so offsets fit 32 bits.
    let offset = step * UNIFORM_STRIDE as u32;
    pass.set_pipeline(&ready.pipeline);
    pass.set_bind_group(0, &ready.group, &[offset]);
    let [x, y, z] = if ready.many_steps { [steps, 1, 1] } else { ready.grid };
    pass.dispatch_workgroups(x, y, z);
}

/// Requests a buffer's first bytes; the answer comes after the work that writes them is waited for.
pub(super) fn map(buffer: &wgpu::Buffer, bytes: u64) -> MappedReceiver {
    let (tell, mapped) = std::sync::mpsc::channel();
    // Nobody listens any more if the device was dropped, so a failed send is ignored.
    buffer.slice(..bytes).map_async(wgpu::MapMode::Read, move |result| drop(tell.send(result)));
    mapped
}

/// Encodes steps of several members as commands in one pass: each dispatch has a layer of its grid for each member.
/// `batches` are the steps of each dispatch and the first byte of their rows in the table. Returns the number of dispatches, too.
pub(super) fn encode_members(
    device: &wgpu::Device,
    loaded: &Loaded,
    phase: Phase,
    members: u32,
    batches: &[(u32, u32)],
    timestamp_writes: Option<wgpu::ComputePassTimestampWrites<'_>>,
) -> (wgpu::CommandEncoder, u64) {
    in_one_pass(device, timestamp_writes, |pass| {
        let mut count = 0;
        for &(steps, offset) in batches {
            for ready in loaded.steps(phase) {
                pass.set_pipeline(&ready.pipeline);
                pass.set_bind_group(0, &ready.group, &[offset]);
                let [x, y] =
                    if ready.many_steps { [steps, 1] } else { [ready.grid[0], ready.grid[1]] };
                pass.dispatch_workgroups(x, y, members);
                count += 1;
            }
        }
        count
    })
}

/// The step parameters as shaders read them, with the room up to where the next ones may begin.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub(super) struct StepParamsRow {
    row: MemberRow,
    unused: [u32; 40],
}

/// The step parameters as shaders read them.
#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
pub(super) struct MemberRow {
    first: u32,
    rows: u32,
    pub(super) log: u32,
    step: u32,
    seed: u32,
    apply: u32,
    dropout: f32,
    divisor: f32,
    scalars: [f32; SCALARS],
    loss: [f32; LOSS_NUMBERS],
    batch_row: u32,
}

/// Returns the step parameters as shaders read them, in a table of one network.
pub(super) fn row(step: &StepParams) -> StepParamsRow {
    StepParamsRow { row: member_row(step), unused: [0; 40] }
}

/// Returns the step parameters as shaders read them.
#[expect(clippy::cast_possible_truncation, reason = "shaders compute in f32")]
pub(super) fn member_row(step: &StepParams) -> MemberRow {
    MemberRow {
        first: step.first,
        rows: step.rows,
        log: step.log,
        step: step.step,
        seed: step.seed,
        apply: step.apply.into(),
        dropout: step.dropout as f32,
        divisor: step.divided_by() as f32,
        scalars: step.scalars.map(|scalar| scalar as f32),
        loss: step.loss.map(|it| it as f32),
        batch_row: step.batch_row,
    }
}
