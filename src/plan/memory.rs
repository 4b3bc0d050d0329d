//! Which values share a buffer: lifetimes, and the bytes that come of them.

use super::{BufferId, BufferSpec, Element, Plan, Role, Step};
use crate::shape::narrow;

/// A value that lives only inside a phase, before it has a buffer.
#[derive(Clone, Debug)]
pub(super) struct Temporary {
    /// The slot's index.
    pub(super) slot: usize,
    /// Elements.
    pub(super) len: usize,
    /// What they are.
    pub(super) element: Element,
}

/// Gives each temporary of one phase a buffer, so that no two that live at once share one.
///
/// A slot read by a step is alive through that step, so a step never reads and writes one buffer: WebGPU
/// checks usage for whole buffers. A free buffer of the same elements whose size is nearest is taken, and grown if
/// need be.
/// Buffers that earlier phases made (`shared`) may be used again, since phases never run at once.
/// Out: the buffer of each temporary, in order.
pub(super) fn assign(
    temporaries: &[Temporary],
    steps: &[Step],
    buffers: &mut Vec<BufferSpec>,
    shared: &mut Vec<BufferId>,
) -> Vec<BufferId> {
    let lifetime = |slot: usize| {
        let uses =
            |step: &Step| step.reads.iter().chain(&step.writes).any(|s| s.0 as usize == slot);
        (steps.iter().position(uses), steps.iter().rposition(uses))
    };
    let spans: Vec<_> = temporaries.iter().map(|t| lifetime(t.slot)).collect();
    let mut assigned: Vec<Option<BufferId>> = vec![None; temporaries.len()];
    for index in 0..steps.len() {
        for (t, temporary) in temporaries.iter().enumerate() {
            if spans[t].0 != Some(index) {
                continue;
            }
            let busy = |buffer: &BufferId| {
                (0..temporaries.len()).any(|other| {
                    assigned[other] == Some(*buffer)
                        && spans[other].1.is_some_and(|last| last >= index)
                })
            };
            let free = shared
                .iter()
                .filter(|buffer| buffers[buffer.0 as usize].element == temporary.element)
                .filter(|buffer| !busy(buffer))
                .min_by_key(|buffer| buffers[buffer.0 as usize].elements.abs_diff(temporary.len))
                .copied();
            let buffer = free.unwrap_or_else(|| {
                let id = BufferId(narrow(buffers.len()));
                let name = format!("temporary{}", shared.len());
                let (element, role) = (temporary.element, Role::Activations);
                buffers.push(BufferSpec { name, elements: temporary.len, element, role });
                shared.push(id);
                id
            });
            let spec = &mut buffers[buffer.0 as usize];
            spec.elements = spec.elements.max(temporary.len);
            assigned[t] = Some(buffer);
        }
    }
    // A temporary that no step uses would be a bug of the lowering.
    assigned.into_iter().map(|buffer| buffer.unwrap_or(BufferId(u32::MAX))).collect()
}

/// Bytes on the device, by use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Parameters.
    pub params: u64,
    /// Gradients.
    pub gradients: u64,
    /// Optimizer state.
    pub state: u64,
    /// Activations and their gradients, as shared.
    pub activations: u64,
    /// The same if nothing were shared.
    pub activations_unshared: u64,
    /// Tables, order, predictions, log.
    pub data: u64,
}

impl Memory {
    /// Counts a plan's bytes.
    pub fn of(plan: &Plan) -> Self {
        let mut memory = Self::default();
        for buffer in plan.buffers() {
            let bytes = buffer.bytes();
            match buffer.role {
                Role::Params => memory.params += bytes,
                Role::Gradients => memory.gradients += bytes,
                Role::State => memory.state += bytes,
                Role::Activations => memory.activations += bytes,
                Role::Data | Role::Log => memory.data += bytes,
            }
        }
        memory.activations_unshared = plan
            .slots()
            .filter(|(_, slot)| plan.buffer(slot.buffer).role == Role::Activations)
            .map(|(_, slot)| slot.bytes())
            .sum();
        memory
    }

    /// All bytes.
    pub fn total(&self) -> u64 {
        self.params + self.gradients + self.state + self.activations + self.data
    }
}
