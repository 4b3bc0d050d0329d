//! Creates everything that a plan needs on the adapter: buffers, pipelines, bind groups. `run` creates nothing.

use wgpu::{BindGroupEntry, BindingResource, BufferBinding, BufferUsages};

use super::dispatch::{Binding, Dispatch, launches, loop_iterations, usual_activation};
use super::fused_step::{can_bind, sequence};
use super::in_flight::DEPTH;
use super::limits::{MAX_STEPS, UNIFORM_STRIDE};
use super::member_text::ROWS_BYTES;
use super::pipeline::Pipelines;
use super::select::{KernelSelector, MatmulKey, WHOLE_STEP};
use super::sizes::narrow;
use crate::error::{Error, Result};
use crate::plan::{BufferId, BufferSpec, Phase, Plan, Role, Slot, SlotSpec, WINDOW};

/// Bytes of a table of step parameters. The table extends beyond the last row, since a fused step always binds the largest
/// number of rows.
const TABLE_BYTES: u64 = UNIFORM_STRIDE * (WINDOW as u64 + MAX_STEPS as u64);
/// Bytes of the step parameters that several members take in one submission, beside those of the last dispatch.
pub(super) const MEMBER_TABLE_BYTES: u64 = 8 << 20;
/// Bytes bound for an absent slot, an offset's alignment; and bytes of a buffer of such slots.
const ABSENT: u64 = 256;
const ABSENT_BYTES: u64 = 16 * ABSENT;
/// Bytes on their way between host and device at once, at least and at most; see [`part_bytes`].
const PART_BYTES: (u64, u64) = (64 << 10, 4 << 20);

/// Number of loop iterations after which some drivers end a lane's loops: lavapipe before Mesa 25.
const MOST_TURNS: usize = 65_535;

/// A dispatch with its pipeline and bind group.
#[derive(Debug)]
pub(super) struct PreparedDispatch {
    pub(super) pipeline: wgpu::ComputePipeline,
    pub(super) group: wgpu::BindGroup,
    pub(super) grid: [u32; 3],
    /// Index of the plan's step that the dispatch belongs to.
    pub(super) step: usize,
    /// True if one dispatch runs many steps.
    pub(super) many_steps: bool,
    /// Largest number of steps that one dispatch runs.
    pub(super) most_steps: u32,
    /// Name of the kernel's variant.
    pub(super) form: &'static str,
}

/// Members that a plan is loaded for, and where the part of each begins in the buffers.
#[derive(Debug)]
pub(super) struct MemberParts {
    /// Number of members; 1 for a plan of one network.
    pub(super) count: u32,
    /// Bytes between the parts of two members, for each of the plan's buffers; 0 where all members share the values.
    strides: Vec<u64>,
}

impl MemberParts {
    /// Returns the parts of `count` members; buffers of nothing but shared slots are there once.
    fn new(plan: &Plan, count: u32) -> Self {
        let stride = |index: usize, buffer: &BufferSpec| {
            if count == 1 || plan.is_shared(index) { 0 } else { part_stride(buffer.bytes()) }
        };
        let strides = plan.buffers().iter().enumerate().map(|(index, it)| stride(index, it));
        Self { count, strides: strides.collect() }
    }

    /// Returns the bytes between the parts of two members in a buffer.
    pub(super) fn stride(&self, buffer: BufferId) -> u64 {
        self.strides[buffer.0 as usize]
    }

    /// Returns the bytes of a buffer, of which one part has `bytes`.
    fn whole(&self, stride: u64, bytes: u64) -> u64 {
        stride * u64::from(self.count - 1) + bytes
    }
}

/// Returns the bytes from one member's part of a buffer to the next one's.
fn part_stride(bytes: u64) -> u64 {
    bytes.next_multiple_of(UNIFORM_STRIDE)
}

/// Values that a fused step holds in a buffer of its own, instead of the plan's.
#[derive(Debug)]
struct StepScratch {
    buffer: wgpu::Buffer,
    /// The plan's buffers in this one, each with its first element.
    places: Vec<(BufferId, usize)>,
    /// Bytes between the parts of two members.
    stride: u64,
}

/// A plan on the adapter.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) plan: Plan,
    pub(super) buffers: Vec<wgpu::Buffer>,
    pub(super) train: Vec<PreparedDispatch>,
    pub(super) eval: Vec<PreparedDispatch>,
    pub(super) measure: Vec<PreparedDispatch>,
    /// The step parameters: a table for training, and one for the other phases, which write it each time.
    pub(super) train_rows: wgpu::Buffer,
    pub(super) eval_rows: wgpu::Buffer,
    /// Buffers in which losses wait to be read, one for each submission in flight and one that is being read.
    pub(super) staging: Vec<wgpu::Buffer>,
    pub(super) readback: wgpu::Buffer,
    /// Largest number of bytes that are uploaded at once while no step runs: longer uploads go in parts, each waited for,
    /// since wgpu holds a copy of bytes that are still on their way.
    pub(super) part: usize,
    /// Variants of the products, a line each.
    pub(super) variants: Vec<String>,
    pub(super) members: MemberParts,
    scratch: Option<StepScratch>,
}

impl Loaded {
    /// Returns the buffer that holds a slot's values for a member, and the slot's first byte there.
    pub(super) fn place(&self, slot: Slot, member: u32) -> (&wgpu::Buffer, u64) {
        let spec = self.plan.slot(slot);
        let start = u64::from(member) * self.members.stride(spec.buffer);
        let usual =
            (&self.buffers[spec.buffer.0 as usize], start + spec.element.bytes(spec.offset));
        let Some(scratch) = &self.scratch else { return usual };
        let place = scratch.places.iter().find(|it| it.0 == spec.buffer).map(|it| it.1);
        // Activations of other phases are where the plan says.
        let activations = self.plan.buffer(spec.buffer).role == Role::Activations;
        match place {
            Some(start) if !activations || self.trains_with(slot) => {
                let part = u64::from(member) * scratch.stride;
                (&scratch.buffer, part + spec.element.bytes(start + spec.offset))
            }
            _ => usual,
        }
    }

    /// Frees the memory of the plan, which must not be in use any more.
    pub(super) fn destroy(&self) {
        let rows = [&self.train_rows, &self.eval_rows, &self.readback];
        let scratch = self.scratch.iter().map(|scratch| &scratch.buffer);
        self.buffers
            .iter()
            .chain(&self.staging)
            .chain(rows)
            .chain(scratch)
            .for_each(wgpu::Buffer::destroy);
    }

    /// Returns whether a training step reads or writes a slot.
    fn trains_with(&self, slot: Slot) -> bool {
        let mut steps = self.plan.steps(Phase::Train).iter();
        steps.any(|step| step.reads.contains(&slot) || step.writes.contains(&slot))
    }

    /// Returns the dispatches of a step of a phase.
    pub(super) fn steps(&self, phase: Phase) -> &[PreparedDispatch] {
        match phase {
            Phase::Train => &self.train,
            Phase::Eval => &self.eval,
            Phase::Measure => &self.measure,
        }
    }
}

/// Everything needed to load a plan.
pub(super) struct Loader<'a> {
    pub(super) device: &'a wgpu::Device,
    pub(super) queue: &'a wgpu::Queue,
    pub(super) adapter: &'a str,
    /// Largest number of bytes of a binding.
    pub(super) binding_limit: u64,
    pub(super) chooser: &'a KernelSelector,
    pub(super) pipelines: &'a mut Pipelines,
}

impl Loader<'_> {
    /// Loads a plan that [`Self::check`] has found to fit, for one network or for several members.
    pub(super) fn load(&mut self, plan: &Plan, members: u32) -> Result<Loaded> {
        let members = MemberParts::new(plan, members);
        // Every buffer can be copied in both directions, since the host may write and read any slot.
        let data = BufferUsages::STORAGE | BufferUsages::COPY_DST | BufferUsages::COPY_SRC;
        let make = |(spec, &stride): (&BufferSpec, &u64)| {
            self.buffer(&spec.name, members.whole(stride, spec.bytes()), data)
        };
        let buffers: Vec<_> = plan.buffers().iter().zip(&members.strides).map(make).collect();
        let usage = BufferUsages::UNIFORM | BufferUsages::COPY_DST;
        let [train_bytes, eval_bytes] = match members.count {
            1 => table_bytes(plan),
            _ => [MEMBER_TABLE_BYTES + ROWS_BYTES; 2],
        };
        let train_rows = self.buffer("train steps", train_bytes, usage);
        let eval_rows = self.buffer("eval steps", eval_bytes, usage);
        let read =
            |name, bytes| self.buffer(name, bytes, BufferUsages::MAP_READ | BufferUsages::COPY_DST);
        let losses = 4 * WINDOW as u64 * u64::from(members.count);
        let staging = (0..=DEPTH).map(|_| read("losses", losses)).collect();
        // Results of many small members come back together.
        let most = part_bytes(plan).max(readback_bytes(plan));
        let results = (readback_bytes(plan) * u64::from(members.count)).min(most);
        let readback = read("readback", results);
        let mut variants = Vec::new();
        let of_train = (Phase::Train, &*buffers, &train_rows);
        let (train, scratch) = self.phase(plan, &members, of_train, &mut variants)?;
        let of_eval = (Phase::Eval, &*buffers, &eval_rows);
        let (eval, _) = self.phase(plan, &members, of_eval, &mut variants)?;
        let of_measure = (Phase::Measure, &*buffers, &eval_rows);
        let (measure, _) = self.phase(plan, &members, of_measure, &mut variants)?;
        // Both phases may list the same product.
        variants.sort();
        variants.dedup();
        Ok(Loaded {
            plan: plan.clone(),
            buffers,
            train,
            eval,
            measure,
            train_rows,
            eval_rows,
            staging,
            readback,
            part: usize::try_from(part_bytes(plan)).unwrap_or(usize::MAX),
            variants,
            members,
            scratch,
        })
    }

    /// Refuses a plan in half precision on an adapter without it, and plans with a buffer, or a slot that is bound whole,
    /// that is too large; the message names the part that does not fit.
    pub(super) fn check(&self, plan: &Plan) -> Result<()> {
        if !self.chooser.half && plan.has_half() {
            let problem = "it has no half precision in shaders (SHADER_F16), which ‘precision’ f16 needs; \
                 use ‘precision’ f32, or another ‘device’: `wgrad adapters` shows which have f16";
            return Err(Error::Device { adapter: self.adapter.into(), problem: problem.into() });
        }
        let too_large = |what: String, need: u64, limit: u64, limit_name| Error::TooLarge {
            what,
            need,
            adapter: self.adapter.to_string(),
            limit,
            limit_name,
            remedy: "use fewer units, a smaller ‘batch_size’ or fewer rows, or ‘device’ cpu"
                .to_string(),
        };
        let most = self.device.limits().max_storage_buffers_per_shader_stage as usize;
        let steps = Phase::ALL.into_iter().flat_map(|phase| plan.steps(phase));
        for step in steps {
            let declaration = step.kernel.declaration();
            let bound = declaration.bound().concat().len();
            if bound > most {
                let problem = format!(
                    "its kernels may bind {most} buffers, but {} needs {bound}; use another ‘device’, such as cpu",
                    declaration.name
                );
                return Err(Error::Device { adapter: self.adapter.into(), problem });
            }
        }
        if self.chooser.ends_loops {
            let steps = Phase::ALL.into_iter().flat_map(|phase| plan.steps(phase));
            if let Some(step) =
                steps.into_iter().find(|step| loop_iterations(plan, step) > MOST_TURNS)
            {
                let need = loop_iterations(plan, step);
                let problem = format!(
                    "its driver ends loops after {MOST_TURNS} turns, silently, and {} would need {need}; use a smaller \
                     ‘batch_size’ or layers, ‘device’ cpu, or Mesa 25 or later",
                    step.kernel.name()
                );
                return Err(Error::Device { adapter: self.adapter.into(), problem });
            }
        }
        // Slots first, since their names are those of the layers; whole arenas are bound in parts.
        let arena = |slot: &SlotSpec| {
            matches!(plan.buffer(slot.buffer).role, Role::Params | Role::Gradients | Role::State)
        };
        let whole =
            |slot: &SlotSpec| arena(slot) && slot.len() == plan.buffer(slot.buffer).elements;
        let limit = self.binding_limit;
        for (_, slot) in plan.slots() {
            let bytes = slot.bytes();
            if bytes > limit && !(whole(slot) && slot.sizes.len() == 1) {
                return Err(too_large(named(slot), bytes, limit, "maxStorageBufferBindingSize"));
            }
        }
        let limit = self.device.limits().max_buffer_size;
        for buffer in plan.buffers() {
            let need = buffer.bytes();
            if need > limit {
                return Err(too_large(buffer.name.clone(), need, limit, "maxBufferSize"));
            }
        }
        Ok(())
    }

    fn buffer(&self, label: &str, size: u64, usage: BufferUsages) -> wgpu::Buffer {
        let descriptor =
            wgpu::BufferDescriptor { label: Some(label), size, usage, mapped_at_creation: false };
        self.device.create_buffer(&descriptor)
    }

    /// Creates the dispatches of a phase, and the scratch of a fused step.
    fn phase(
        &mut self,
        plan: &Plan,
        members: &MemberParts,
        (phase, buffers, rows): (Phase, &[wgpu::Buffer], &wgpu::Buffer),
        variants: &mut Vec<String>,
    ) -> Result<(Vec<PreparedDispatch>, Option<StepScratch>)> {
        let mut dispatches = self.dispatches(plan, phase, variants)?;
        if members.count > 1 {
            for (_, launch) in &mut dispatches {
                launch.members = members.count;
                append_parts(plan, members, launch)?;
            }
        }
        // One buffer holds the parameters of all dispatches of the phase.
        let usage = BufferUsages::UNIFORM | BufferUsages::COPY_DST;
        let params = self.buffer("params", params_bytes(&dispatches), usage);
        // Bound to the slots of an absent fusion; the kernel does not touch them.
        let absent = ["absent read", "absent write"]
            .map(|name| self.buffer(name, ABSENT_BYTES, BufferUsages::STORAGE));
        let mut ready = Vec::with_capacity(dispatches.len());
        let mut kept = None;
        let mut at = 0;
        // `at` is the offset of the dispatch's parameters in the phase's one buffer.
        for (step, launch) in &dispatches {
            self.queue.write_buffer(&params, at, bytemuck::cast_slice(&launch.params));
            let pipeline = self.pipelines.get(self.device, launch);
            let usage = BufferUsages::STORAGE | BufferUsages::COPY_DST | BufferUsages::COPY_SRC;
            let stride = scratch_stride(launch, members);
            let size = members.whole(stride, scratch_bytes(launch));
            let scratch = self.buffer("scratch", size, usage);
            let bound = (buffers, rows, &params, at, &absent, &scratch);
            let group = self.group((plan, members), launch, &pipeline.layout, bound);
            // Only the scratch of a fused step holds values that the host may ask for.
            if !launch.places.is_empty() {
                let places = launch.places.clone();
                kept = Some(StepScratch { buffer: scratch, places, stride });
            }
            let (grid, step, many_steps) = (launch.grid, *step, launch.many_steps);
            let most_steps = launch.most_steps;
            let (pipeline, form) = (pipeline.pipeline, launch.variant.name);
            ready.push(PreparedDispatch {
                pipeline,
                group,
                grid,
                step,
                many_steps,
                most_steps,
                form,
            });
            at += param_bytes(launch);
        }
        Ok((ready, kept))
    }

    /// Returns the dispatches of a phase, each with the plan's step that it belongs to, and a line for each choice of a variant.
    fn dispatches(
        &self,
        plan: &Plan,
        phase: Phase,
        variants: &mut Vec<String>,
    ) -> Result<Vec<(usize, Dispatch)>> {
        let most = usize::try_from(self.binding_limit / 4).unwrap_or(usize::MAX);
        let usual = self.chooser.usual.unwrap_or_else(|| usual_activation(plan));
        let mut dispatches = Vec::new();
        // A fused step replaces all dispatches of the training phase.
        let sequence = if phase == Phase::Train { self.sequence(plan)? } else { None };
        let left = if sequence.is_some() { &[][..] } else { plan.steps(phase) };
        if let Some(launch) = sequence {
            variants.push(format!("{WHOLE_STEP}: {}", launch.variant.name));
            dispatches.push((0, launch));
        }
        // The step's index, since one step may need several dispatches.
        for (index, step) in left.iter().enumerate() {
            let (variant, why) = self.chooser.choose(plan, step)?;
            if let Some(product) = MatmulKey::of(plan, step)? {
                variants.push(format!("{}: {} ({why})", product.name(), variant.name));
            }
            let launches = launches(plan, step, variant, usual, most)?;
            dispatches.extend(launches.into_iter().map(|launch| (index, launch)));
        }
        Ok(dispatches)
    }

    /// Returns the bytes of everything that [`Self::load`] creates for a plan, and of wgpu's copies during uploads.
    pub(super) fn bytes_for(&self, plan: &Plan) -> u64 {
        let buffers: u64 = plan.buffers().iter().map(BufferSpec::bytes).sum();
        let phase = |phase| {
            // A plan without dispatches for a phase fails to load, and loading reports why.
            let dispatches = self.dispatches(plan, phase, &mut Vec::new()).unwrap_or_default();
            let scratch: u64 = dispatches.iter().map(|(_, launch)| scratch_bytes(launch)).sum();
            params_bytes(&dispatches) + scratch + 2 * ABSENT_BYTES
        };
        let losses = (DEPTH as u64 + 1) * 4 * WINDOW as u64;
        let tables = table_bytes(plan);
        let made = buffers + tables[0] + tables[1] + losses + readback_bytes(plan);
        // Step parameters are uploaded while other values are on their way.
        let on_their_way = buffers.min(part_bytes(plan)) + tables[0].max(tables[1]);
        made + Phase::ALL.map(phase).iter().sum::<u64>() + on_their_way
    }

    /// Returns the one dispatch that runs whole training steps, if the network is small enough for it to be faster.
    pub(super) fn sequence(&self, plan: &Plan) -> Result<Option<Dispatch>> {
        if plan.in_parts {
            return Ok(None);
        }
        let variant = self.chooser.sequence(plan).filter(|_| can_bind(&self.device.limits()));
        let Some(variant) = variant else { return Ok(None) };
        // A scratch that exceeds a binding leaves the steps to dispatches of their own.
        let fits = |launch: &Dispatch| 4 * launch.scratch as u64 <= self.binding_limit;
        Ok(sequence(plan, variant)?.filter(fits))
    }

    /// Creates the bind group of a dispatch.
    fn group(
        &self,
        (plan, members): (&Plan, &MemberParts),
        launch: &Dispatch,
        layout: &wgpu::BindGroupLayout,
        (buffers, rows, params, at, absent, scratch): (
            &[wgpu::Buffer],
            &wgpu::Buffer,
            &wgpu::Buffer,
            u64,
            &[wgpu::Buffer; 2],
            &wgpu::Buffer,
        ),
    ) -> wgpu::BindGroup {
        let bound = |buffer, offset, size| {
            BindingResource::Buffer(BufferBinding {
                buffer,
                offset,
                size: std::num::NonZeroU64::new(size),
            })
        };
        // The order of bindings is the one that the shader declares: step, parameters, reads, writes.
        let mut resources = vec![
            bound(rows, 0, launch.row_bytes()),
            bound(params, at, launch.param_bytes().next_multiple_of(16)),
        ];
        for (index, slot) in launch.reads.iter().chain(&launch.writes).enumerate() {
            let writes = usize::from(index >= launch.reads.len());
            resources.push(match slot {
                // Absent writes may not overlap: WebGPU lets a range be bound for writing only once.
                Binding::Absent => bound(&absent[writes], ABSENT * index as u64, ABSENT),
                Binding::Scratch => scratch.as_entire_binding(),
                Binding::Slot(slot) => {
                    let spec = plan.slot(*slot);
                    debug_assert!(
                        spec.offset.is_multiple_of(spec.element.alignment()),
                        "views are aligned for bindings"
                    );
                    let part = bound_part(launch, spec);
                    let offset = spec.element.bytes(spec.offset + part.start);
                    let size = spec.element.bytes(part.len()).next_multiple_of(4);
                    let size = members.whole(members.stride(spec.buffer), size);
                    bound(&buffers[spec.buffer.0 as usize], offset, size)
                }
            });
        }
        let entries: Vec<_> = (0..)
            .zip(resources)
            .map(|(binding, resource)| BindGroupEntry { binding, resource })
            .collect();
        let label = Some(launch.spec.name);
        self.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label,
            layout,
            entries: &entries,
        })
    }
}

/// Returns the range of a slot's elements that a dispatch binds: the loss scale and the tables are bound whole with every
/// part of an arena.
fn bound_part(launch: &Dispatch, spec: &SlotSpec) -> std::ops::Range<usize> {
    let part = launch.part.clone().filter(|_| spec.len() >= launch.arena);
    part.unwrap_or(0..spec.len().max(1))
}

/// Appends to a dispatch's parameters, for each array that it binds, the bytes between the parts of two members, and those
/// of a part.
fn append_parts(plan: &Plan, members: &MemberParts, launch: &mut Dispatch) -> Result<()> {
    let scratch = (scratch_stride(launch, members), scratch_bytes(launch));
    let bindings = launch.reads.iter().chain(&launch.writes);
    let parts = bindings.map(|binding| match binding {
        Binding::Absent => (0, ABSENT),
        Binding::Scratch => scratch,
        Binding::Slot(slot) => {
            let spec = plan.slot(*slot);
            let bytes = spec.element.bytes(bound_part(launch, spec).len()).next_multiple_of(4);
            (members.stride(spec.buffer), bytes)
        }
    });
    let parts: Vec<(u64, u64)> = parts.collect();
    for (stride, bytes) in parts {
        launch.params.push(narrow(usize::try_from(stride).unwrap_or(usize::MAX))?);
        launch.params.push(narrow(usize::try_from(bytes).unwrap_or(usize::MAX))?);
    }
    Ok(())
}

/// Returns the bytes from one member's part of a dispatch's scratch to the next one's.
fn scratch_stride(launch: &Dispatch, members: &MemberParts) -> u64 {
    if members.count == 1 { 0 } else { part_stride(scratch_bytes(launch)) }
}

/// Returns the bytes of a dispatch's scratch, which is never empty: an empty buffer cannot be bound.
fn scratch_bytes(launch: &Dispatch) -> u64 {
    4 * launch.scratch.max(1) as u64
}

/// Returns the bytes of a dispatch's parameters, up to where the next ones may begin.
fn param_bytes(launch: &Dispatch) -> u64 {
    launch.param_bytes().next_multiple_of(UNIFORM_STRIDE)
}

/// Returns the bytes of the parameters of all dispatches.
fn params_bytes(dispatches: &[(usize, Dispatch)]) -> u64 {
    dispatches.iter().map(|(_, launch)| param_bytes(launch)).sum::<u64>().max(UNIFORM_STRIDE)
}

/// Returns the bytes of the tables of step parameters, of training and of the other phases: small in a phase without steps.
fn table_bytes(plan: &Plan) -> [u64; 2] {
    let bytes = |phases: &[Phase]| {
        let none = phases.iter().all(|&phase| plan.steps(phase).is_empty());
        if none { UNIFORM_STRIDE } else { TABLE_BYTES }
    };
    [bytes(&[Phase::Train]), bytes(&[Phase::Eval, Phase::Measure])]
}

/// Returns the bytes on their way between host and device at once: a sixty-fourth of the plan's, so that they hardly add to it.
fn part_bytes(plan: &Plan) -> u64 {
    let buffers: u64 = plan.buffers().iter().map(BufferSpec::bytes).sum();
    (buffers / 64).clamp(PART_BYTES.0, PART_BYTES.1) / 4 * 4
}

/// Returns the bytes of the buffer that brings results back; longer results come in parts.
fn readback_bytes(plan: &Plan) -> u64 {
    plan.buffers().iter().map(BufferSpec::bytes).max().unwrap_or(4).min(part_bytes(plan))
}

/// Returns a slot's name and sizes, for messages.
fn named(slot: &SlotSpec) -> String {
    let sizes: Vec<String> = slot.sizes.iter().map(usize::to_string).collect();
    format!("{}[{}]", slot.name, sizes.join(","))
}
