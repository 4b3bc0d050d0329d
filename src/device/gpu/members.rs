//! Several members side by side: the same steps of several networks in the same dispatches.
//!
//! In: a plan, the members' values and step parameters. Out: commands with a layer of the grid for each member.
//! Absent on purpose: which members run together; `device/member_hub.rs` decides that.

use super::GpuDevice;
use super::encode::{MemberRow, encode_members, map, member_row};
use super::limits::{MAX_STEPS, STEP_BYTES, UNIFORM_STRIDE};
use super::load::MEMBER_TABLE_BYTES;
use super::member_text::{LOG_BITS, MEMBER_ROWS, ROWS_BYTES};
use crate::device::{MemberDevice, Values};
use crate::error::{Error, Result};
use crate::plan::{Phase, Plan, Slot, StepParams, WINDOW};
use crate::shape::narrow;

/// A member's step parameters, and its losses that nobody has taken.
#[derive(Debug, Default)]
pub(super) struct MemberSteps {
    train: Vec<MemberRow>,
    /// Rows of the other phases, which write them each time.
    eval: Vec<MemberRow>,
    pub(super) losses: Vec<f32>,
}

impl MemberSteps {
    fn rows(&self, phase: Phase) -> &[MemberRow] {
        match phase {
            Phase::Train => &self.train,
            Phase::Eval | Phase::Measure => &self.eval,
        }
    }
}

/// The rows of a submission's steps: bytes for the table, and for each dispatch its steps and the first byte of its rows.
struct StepTable {
    bytes: Vec<u8>,
    batches: Vec<(u32, u32)>,
}

impl GpuDevice {
    /// Returns the steps of members that one dispatch takes.
    fn steps_at_once(&self, phase: Phase, members: u32) -> Result<u32> {
        let loaded = self.loaded()?;
        Ok(match loaded.steps(phase) {
            [sequence] if sequence.many_steps => {
                (MEMBER_ROWS / members).clamp(1, MAX_STEPS.min(sequence.most_steps))
            }
            _ => 1,
        })
    }

    /// Returns the most steps of members whose rows the table holds.
    fn steps_in_table(&self, phase: Phase, members: u32) -> Result<u32> {
        let each = self.steps_at_once(phase, members)?;
        let bytes = batch_bytes(each, members);
        Ok(narrow(usize::try_from(MEMBER_TABLE_BYTES / bytes).unwrap_or(1).max(1)) * each)
    }

    /// Returns the rows of `count` steps of members, each from a step of its own window on.
    fn step_table(&self, phase: Phase, of: &[(u32, u32)], count: u32) -> Result<StepTable> {
        let members = narrow(of.len());
        let each = self.steps_at_once(phase, members)?;
        let mut table = StepTable { bytes: Vec::new(), batches: Vec::new() };
        let mut done = 0;
        while done < count {
            let steps = each.min(count - done);
            table.batches.push((steps, narrow(table.bytes.len())));
            for step in done..done + steps {
                for &(member, first) in of {
                    let rows = self.members[member as usize].rows(phase);
                    let outside = || self.outside(step);
                    let mut row = *rows.get((first + step) as usize).ok_or_else(outside)?;
                    row.log |= member << LOG_BITS;
                    table.bytes.extend_from_slice(bytemuck::bytes_of(&row));
                }
            }
            // The next dispatch's rows begin where a binding may.
            let end = table.bytes.len().next_multiple_of(UNIFORM_STRIDE as usize);
            table.bytes.resize(end, 0);
            done += steps;
        }
        Ok(table)
    }

    fn outside(&self, step: u32) -> Error {
        let problem = format!("step {step} of a member lies outside of its window");
        Error::Device { adapter: self.info.name.clone(), problem }
    }

    /// Copies a slot of some members to the host in one go; the readback buffer has room for all.
    fn read_at_once(&mut self, members: &[u32], slot: Slot, len: usize) -> Result<Vec<Vec<f32>>> {
        let loaded = self.loaded()?;
        let element = self.float_element(slot, len)?;
        let bytes = element.bytes(len).next_multiple_of(4);
        let mut encoder =
            self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        for (place, &member) in (0..).zip(members) {
            let (buffer, start) = loaded.place(slot, member);
            encoder.copy_buffer_to_buffer(buffer, start, &loaded.readback, place * bytes, bytes);
        }
        let index = self.queue.submit([encoder.finish()]);
        let all = bytes * members.len() as u64;
        let mapped = map(&loaded.readback, all);
        self.wait(Some(index))?;
        let values = self.collect_floats(element, all, &mapped)?;
        // Halves come in whole words, so there may be one too many of each member.
        let each = values.len() / members.len();
        Ok(values.chunks_exact(each.max(1)).map(|it| it[..len].to_vec()).collect())
    }

    /// Runs as many steps as one table holds.
    fn run_some(&mut self, phase: Phase, of: &[(u32, u32)], count: u32) -> Result<()> {
        let StepTable { bytes, batches } = self.step_table(phase, of, count)?;
        let loaded = self.loaded()?;
        let table = match phase {
            Phase::Train => &loaded.train_rows,
            Phase::Eval | Phase::Measure => &loaded.eval_rows,
        };
        self.queue.write_buffer(table, 0, &bytes);
        let numbers: Vec<u32> = of.iter().map(|&(member, _)| member).collect();
        let logs = if phase == Phase::Train { of } else { &[] };
        let members = narrow(of.len());
        self.submit((phase, count, numbers), logs, |device, loaded, writes| {
            encode_members(device, loaded, phase, members, &batches, writes)
        })
    }
}

/// Returns the bytes of the rows of one dispatch.
fn batch_bytes(steps: u32, members: u32) -> u64 {
    (u64::from(steps) * u64::from(members) * STEP_BYTES).next_multiple_of(UNIFORM_STRIDE)
}

impl MemberDevice for GpuDevice {
    fn most_members(&self, plan: &Plan) -> u32 {
        let limits = self.device.limits();
        if limits.max_uniform_buffer_binding_size < ROWS_BYTES {
            return 1;
        }
        // A buffer is bound with the parts of all members at once.
        let limit = self.binding_limit.min(limits.max_buffer_size);
        let parts = plan.buffers().iter().enumerate().filter(|(index, _)| !plan.is_shared(*index));
        let largest = parts.map(|(_, it)| it.bytes().next_multiple_of(UNIFORM_STRIDE)).max();
        let fit = limit / largest.unwrap_or(UNIFORM_STRIDE).max(1);
        u32::try_from(fit).unwrap_or(MEMBER_ROWS).clamp(1, MEMBER_ROWS)
    }

    fn load_members(&mut self, plan: &Plan, members: u32) -> Result<()> {
        self.load_for(plan, members)
    }

    fn write_member(
        &mut self,
        member: u32,
        slot: Slot,
        first: usize,
        values: Values<'_>,
    ) -> Result<()> {
        self.write_for(member, slot, first, values)
    }

    fn write_member_steps(&mut self, member: u32, phase: Phase, rows: &[StepParams]) -> Result<()> {
        if rows.len() > WINDOW {
            let problem = format!("{} steps at once, at most {WINDOW} are possible", rows.len());
            return Err(Error::Device { adapter: self.info.name.clone(), problem });
        }
        let steps = &mut self.members[member as usize];
        let table = match phase {
            Phase::Train => &mut steps.train,
            Phase::Eval | Phase::Measure => &mut steps.eval,
        };
        table.clear();
        table.extend(rows.iter().map(member_row));
        Ok(())
    }

    fn run_members(&mut self, phase: Phase, of: &[(u32, u32)], count: u32) -> Result<()> {
        let most = self.steps_in_table(phase, narrow(of.len()))?;
        let mut done = 0;
        while done < count {
            let steps = most.min(count - done);
            let from: Vec<_> = of.iter().map(|&(member, first)| (member, first + done)).collect();
            self.run_some(phase, &from, steps)?;
            done += steps;
        }
        Ok(())
    }

    fn take_member_losses(&mut self, member: u32, wait: bool) -> Result<Vec<f32>> {
        while wait && !self.flight.waiting.is_empty() {
            self.land()?;
        }
        Ok(std::mem::take(&mut self.members[member as usize].losses))
    }

    fn read_members(&mut self, members: &[u32], slot: Slot, len: usize) -> Result<Vec<Vec<f32>>> {
        while !self.flight.waiting.is_empty() {
            self.land()?;
        }
        let loaded = self.loaded()?;
        let bytes = loaded.plan.slot(slot).element.bytes(len).next_multiple_of(4);
        let at_once = usize::try_from(loaded.readback.size() / bytes.max(1)).unwrap_or(usize::MAX);
        // A result that fills the buffer by itself comes in parts.
        if at_once < 2 {
            return members.iter().map(|&member| self.read_for(member, slot, len)).collect();
        }
        let mut results = Vec::with_capacity(members.len());
        for some in members.chunks(at_once) {
            results.extend(self.read_at_once(some, slot, len)?);
        }
        Ok(results)
    }
}
