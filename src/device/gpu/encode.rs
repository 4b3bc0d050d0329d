//! Steps as commands, their rows as bytes, and results asked for.
//!
//! In: what `load.rs` made. Out: commands for the queue; nothing but their encoder is made here.

use std::ops::Range;

use super::in_flight::MappedReceiver;
use super::limits::UNIFORM_STRIDE;
use super::load::{Loaded, PreparedDispatch};
use crate::plan::{Phase, SCALARS, StepParams};

/// The commands of some steps, in one pass, with timestamps around it if they are wanted.
pub(super) fn encode(
    device: &wgpu::Device,
    loaded: &Loaded,
    phase: Phase,
    steps: Range<u32>,
    timestamp_writes: Option<wgpu::ComputePassTimestampWrites<'_>>,
) -> wgpu::CommandEncoder {
    let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    let descriptor = wgpu::ComputePassDescriptor { label: None, timestamp_writes };
    let mut pass = encoder.begin_compute_pass(&descriptor);
    if let [sequence] = loaded.steps(phase)
        && sequence.many_steps
    {
        for first in steps.clone().step_by(sequence.most_steps as usize) {
            dispatch(&mut pass, first, sequence, sequence.most_steps.min(steps.end - first));
        }
    } else {
        for step in steps {
            for ready in loaded.steps(phase) {
                dispatch(&mut pass, step, ready, 1);
            }
        }
    }
    drop(pass);
    encoder
}

/// How many dispatches so many steps are.
pub(super) fn dispatches(loaded: &Loaded, phase: Phase, steps: u32) -> u64 {
    match loaded.steps(phase) {
        [sequence] if sequence.many_steps => steps.div_ceil(sequence.most_steps).into(),
        ready => ready.len() as u64 * u64::from(steps),
    }
}

/// One dispatch of a step, or of so many from this one on where one dispatch does many.
pub(super) fn dispatch(
    pass: &mut wgpu::ComputePass<'_>,
    step: u32,
    ready: &PreparedDispatch,
    steps: u32,
) {
    // The table has at most a window of rows, so offsets fit.
    let offset = step * UNIFORM_STRIDE as u32;
    pass.set_pipeline(&ready.pipeline);
    pass.set_bind_group(0, &ready.group, &[offset]);
    let [x, y, z] = if ready.many_steps { [steps, 1, 1] } else { ready.grid };
    pass.dispatch_workgroups(x, y, z);
}

/// Asks for a buffer's first bytes; the answer comes when the work that writes them is waited for.
pub(super) fn map(buffer: &wgpu::Buffer, bytes: u64) -> MappedReceiver {
    let (tell, mapped) = std::sync::mpsc::channel();
    // Nobody listens any more if the device was dropped.
    buffer.slice(..bytes).map_async(wgpu::MapMode::Read, move |result| drop(tell.send(result)));
    mapped
}

/// A step's row as shaders see it.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub(super) struct StepParamsRow {
    first: u32,
    rows: u32,
    log: u32,
    step: u32,
    seed: u32,
    apply: u32,
    lr: f32,
    rate: f32,
    correction2: f32,
    dropout: f32,
    decay: f32,
    divisor: f32,
    scalars: [f32; SCALARS],
    unused: [u32; 44],
}

#[expect(clippy::cast_possible_truncation, reason = "shaders compute in f32")]
pub(super) fn row(step: &StepParams) -> StepParamsRow {
    StepParamsRow {
        first: step.first,
        rows: step.rows,
        log: step.log,
        step: step.step,
        seed: step.seed,
        apply: step.apply.into(),
        lr: step.lr as f32,
        rate: (step.lr / step.correction1) as f32,
        correction2: step.correction2 as f32,
        dropout: step.dropout as f32,
        decay: step.decay as f32,
        divisor: step.divided_by() as f32,
        scalars: step.scalars.map(|scalar| scalar as f32),
        unused: [0; 44],
    }
}
