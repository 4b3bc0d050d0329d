//! An adapter as a device: opening it, moving values, submitting steps.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::encode::{StepParamsRow, encode, encode_part, map, row};
use super::fused_step::can_bind;
use super::in_flight::{DEPTH, InFlight, MappedReceiver, Submitted};
use super::kernels::{KernelSpec, Variant};
use super::load::{Loaded, Loader};
use super::members::MemberSteps;
use super::pipeline::Pipelines;
use super::select::{KernelSelector, PreviousChoices, mark};
use super::timing::{self, Meter, PAIR_BYTES, Stamps};
use super::tune::{Tuner, prepare};
use crate::device::{
    Device, DeviceInfo, MemberDevice, Tuning, Usage, Values, half, memory, write_starts,
};
use crate::error::{Error, Result};
use crate::host::Instant;
use crate::host::waiting::{SUSPENDS, block_on, receive, yield_to_browser};
use crate::plan::{Element, Memory, Phase, Plan, Slot, SlotSpec, StepParams, StorageTypes, WINDOW};

/// Message for an adapter without memory left.
pub(super) const OUT_OF_MEMORY: &str = "out of memory; use smaller layers, a smaller ‘batch_size’, a ‘device_memory’ below \
                                        what the adapter has, or ‘device’ cpu";

/// Errors of calls, which a browser reports some time after them: of memory, of validation, of the compiler.
struct ErrorScopes([wgpu::ErrorScopeGuard; 3]);

impl ErrorScopes {
    fn begin(device: &wgpu::Device) -> Self {
        use wgpu::ErrorFilter::{Internal, OutOfMemory, Validation};
        Self([Internal, OutOfMemory, Validation].map(|kind| device.push_error_scope(kind)))
    }

    /// Waits for the errors since the beginning, and returns the first of them.
    fn end(self) -> Option<String> {
        let Self([internal, memory, validation]) = self;
        // The scope that began last ends first.
        let ended = [validation.pop(), memory.pop(), internal.pop()];
        let errors = ended.map(block_on);
        errors.into_iter().flatten().next().map(|error| error_text(&error))
    }
}

/// Returns the text of an error as messages have it.
pub(super) fn error_text(error: &wgpu::Error) -> String {
    match error {
        wgpu::Error::OutOfMemory { .. } => OUT_OF_MEMORY.to_string(),
        other => other.to_string(),
    }
}

/// Keeps an error if it is the first: later ones are often its consequences.
pub(super) fn keep_first(failure: &Mutex<Option<String>>, text: String) {
    failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(text);
}

/// A GPU, or a software adapter, that runs plans.
pub struct GpuDevice {
    pub(super) info: DeviceInfo,
    pub(super) adapter: wgpu::Adapter,
    /// True if the adapter was opened with everything that half precision may use.
    pub(super) opened_half: bool,
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    /// The first error that wgpu has reported: errors come here instead of panicking.
    pub(super) failure: Arc<Mutex<Option<String>>>,
    pub(super) lost: Arc<AtomicBool>,
    pub(super) pipelines: Pipelines,
    pub(super) loaded: Option<Loaded>,
    pub(super) flight: InFlight,
    pub(super) losses: Vec<f32>,
    /// Step parameters and losses of the members, while a plan is loaded for several.
    pub(super) members: Vec<MemberSteps>,
    /// Bytes written since the last submission: wgpu holds a copy of these bytes.
    pub(super) pending: usize,
    pub(super) binding_limit: u64,
    pub(super) chooser: KernelSelector,
    pub(super) tuner: Tuner,
    /// Counts of the work, once somebody measures.
    pub(super) meter: Option<Meter>,
}

impl GpuDevice {
    /// Sets how later loads choose among the variants of products; before this call the fixed rule decides.
    pub fn tune(&mut self, tuning: Tuning) {
        self.tuner = Tuner::new(tuning);
    }

    /// Returns whether this device chooses a variant of a kernel by itself for some sizes.
    pub fn may_take(&self, spec: &KernelSpec, variant: &Variant) -> bool {
        self.chooser.may_take(spec, variant)
    }

    /// Makes the next load take this variant wherever a kernel has it; `None` leaves the choice to the device.
    pub fn force_variant(&mut self, name: Option<&'static str>) {
        self.chooser.forced = name;
    }

    /// Makes later loads in single precision avoid a variant that gave wrong numbers; if it is a kernel's only one, they are refused.
    pub fn avoid(&mut self, variant: &str) {
        self.chooser.choices.wrong.insert(mark(variant, StorageTypes::F32));
    }

    /// Returns whether a variant of a kernel can run here.
    pub fn can_run(&self, variant: &Variant) -> bool {
        self.chooser.can_run(variant)
    }

    /// Lets these variants of products compete with those of the table: for trying one out, and for tests of the tuner.
    /// They are compiled without runtime checks, as all products are, so their indices have to be in range.
    pub fn offer_variants(&mut self, variants: &'static [Variant]) {
        self.chooser.offered = variants;
    }

    /// Returns whether whole training steps can run here as one dispatch.
    pub fn can_run_sequences(&self) -> bool {
        can_bind(&self.device.limits())
    }

    /// Makes the next load bind fewer bytes at once than the adapter allows, as on an adapter with a lower limit;
    /// `None` for the adapter's own limit.
    pub fn limit_bindings(&mut self, bytes: Option<u64>) {
        let most = self.device.limits().max_storage_buffer_binding_size;
        self.binding_limit = bytes.map_or(most, |bytes| bytes.min(most));
    }

    /// Returns the wgpu device, for callers that measure or share it.
    pub fn wgpu(&self) -> &wgpu::Device {
        &self.device
    }

    /// Returns an error of this device.
    fn failed(&self, problem: impl Into<String>) -> Error {
        Error::Device { adapter: self.info.name.clone(), problem: problem.into() }
    }

    /// Returns the error that wgpu has reported meanwhile, as ours.
    fn check(&self) -> Result<()> {
        match self.failure.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            None => Ok(()),
            Some(text) if text == OUT_OF_MEMORY => {
                Err(Error::OutOfMemory { adapter: self.info.name.clone(), problem: text.clone() })
            }
            Some(text) => Err(self.failed(text.clone())),
        }
    }

    /// Returns whether the device is gone for good.
    pub(super) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::SeqCst)
    }

    /// Frees the plan that was loaded before and clears its errors; a lost device stays lost.
    fn unload(&mut self) {
        // A browser frees buffers that nobody has any more when it likes.
        if SUSPENDS && let Some(loaded) = &self.loaded {
            loaded.destroy();
        }
        self.loaded = None;
        if !self.is_lost() {
            *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        self.flight = InFlight::default();
        self.losses.clear();
        self.members.clear();
        // The places of timestamps in flight stay mapped, so new ones are made.
        if let Some(meter) = &mut self.meter {
            meter.renew(&self.device);
        }
    }

    pub(super) fn loader<'a>(&'a self, pipelines: &'a mut Pipelines) -> Loader<'a> {
        Loader {
            device: &self.device,
            queue: &self.queue,
            adapter: &self.info.name,
            binding_limit: self.binding_limit,
            chooser: &self.chooser,
            pipelines,
        }
    }

    /// Returns the loaded plan.
    pub(super) fn loaded(&self) -> Result<&Loaded> {
        self.loaded.as_ref().ok_or_else(|| self.failed("no plan is loaded"))
    }

    /// Waits for a submission, or for all of them.
    pub(super) fn wait(&self, index: Option<wgpu::SubmissionIndex>) -> Result<()> {
        if SUSPENDS {
            let (tell, done) = std::sync::mpsc::channel();
            // Nobody listens any more if the device was dropped, so a failed send is ignored.
            self.queue.on_submitted_work_done(move || _ = tell.send(()));
            let told = receive(&done);
            self.check()?;
            return told.map_err(|_| self.failed("the browser has ended the work on the adapter"));
        }
        let waited =
            self.device.poll(wgpu::PollType::Wait { submission_index: index, timeout: None });
        // An error that wgpu has reported says more than the failed wait.
        self.check()?;
        waited.map(|_| ()).map_err(|error| self.failed(error.to_string()))
    }

    /// Waits for the oldest submission and takes its losses.
    pub(super) fn land(&mut self) -> Result<()> {
        let Some(submitted) = self.flight.waiting.pop_front() else { return Ok(()) };
        // A browser can wait for all submissions only, which would leave the adapter idle, or for the losses of this one.
        let mut losses = None;
        if SUSPENDS && submitted.staging.is_some() {
            losses = self.losses_of(&submitted)?;
            self.check()?;
        } else {
            self.wait(Some(submitted.index.clone()))?;
        }
        // By the host's clock; timestamps, where there are any, are more exact and replace it.
        let mut busy = self.flight.landed(&submitted).as_secs_f64();
        if losses.is_none() {
            losses = self.losses_of(&submitted)?;
        }
        if let Some(losses) = losses {
            let bytes = submitted.loss_bytes();
            if submitted.members.is_empty() {
                self.losses.extend(losses);
            } else {
                let each = losses.chunks_exact(submitted.steps as usize);
                for (&member, losses) in submitted.members.iter().zip(each) {
                    self.members[member as usize].losses.extend(losses);
                }
            }
            self.count(|meter| meter.read(bytes));
        }
        if let (Some((turn, mapped)), Some(meter)) = (&submitted.stamp, &self.meter)
            && let Some(stamps) = &meter.stamps
        {
            let ticks: Vec<u64> = self.collect(&stamps.read[*turn], PAIR_BYTES, mapped)?;
            busy = timing::seconds(&ticks, self.queue.get_timestamp_period()).iter().sum();
        }
        // A submission from before the measuring began has no timestamps, so it is not counted.
        let whole = submitted.stamp.is_some();
        self.count(|meter| {
            if whole || meter.stamps.is_none() {
                meter.counts.busy_seconds += busy;
            }
        });
        Ok(())
    }

    /// Returns the losses that a submission brings back, if it brings any.
    fn losses_of(&self, submitted: &Submitted) -> Result<Option<Vec<f32>>> {
        let Some((staging, mapped)) = &submitted.staging else { return Ok(None) };
        let buffer = &self.loaded()?.staging[*staging];
        self.collect(buffer, submitted.loss_bytes(), mapped).map(Some)
    }

    /// Updates the counts, if somebody measures.
    fn count(&mut self, what: impl FnOnce(&mut Meter)) {
        if let Some(meter) = &mut self.meter {
            what(meter);
        }
    }

    /// Returns whether `count` halves from an element of a slot on are whole words, or become so by one more half beyond
    /// the slot's end.
    fn words(spec: &SlotSpec, first: usize, count: usize) -> bool {
        (spec.offset + first).is_multiple_of(2)
            && (count.is_multiple_of(2) || first + count == spec.len())
    }

    /// Returns the numbers in a buffer whose mapping was requested and waited for.
    pub(super) fn collect<T: bytemuck::Pod>(
        &self,
        buffer: &wgpu::Buffer,
        bytes: u64,
        mapped: &MappedReceiver,
    ) -> Result<Vec<T>> {
        let failed = |error: &dyn std::fmt::Display| self.failed(error.to_string());
        let outcome = receive(mapped).map_err(|_| self.failed("a result was not mapped"))?;
        outcome.map_err(|error| failed(&error))?;
        let view = buffer.slice(..bytes).get_mapped_range().map_err(|error| failed(&error))?;
        let values = bytemuck::pod_collect_to_vec(&view);
        // The view must end before the buffer is unmapped.
        drop(view);
        buffer.unmap();
        Ok(values)
    }

    /// Loads a plan for one network, or for several members, without values to start from.
    pub(super) fn load_for(&mut self, plan: &Plan, members: u32) -> Result<()> {
        // Experimental features are requested by plans in half precision only, so the adapter is opened again for the first
        // such plan.
        if plan.has_half() && !self.opened_half && !self.info.is_software() {
            self.open_half();
            self.check_cooperative();
        }
        // The earlier plan is freed first, so that two plans never need memory at once.
        self.unload();
        // A software adapter takes the host's memory, which it does not check by itself.
        if self.info.is_software() {
            let more = plan.bytes_for_members(members).saturating_sub(plan.bytes_for_members(1));
            memory::check(plan, Memory::of(plan).total().saturating_add(more), &self.info)?;
        }
        // With pipelines that are thrown away: the check compiles nothing.
        self.loader(&mut Pipelines::default()).check(plan)?;
        // A forced variant leaves nothing to choose.
        if self.chooser.forced.is_none() {
            // Tuning loads plans of its own on this device, so these are freed.
            prepare(self, plan)?;
            self.unload();
        }
        let mut pipelines = std::mem::take(&mut self.pipelines);
        let scopes = SUSPENDS.then(|| ErrorScopes::begin(&self.device));
        let loaded = self.loader(&mut pipelines).load(plan, members);
        self.pipelines = pipelines;
        if let Some(text) = scopes.and_then(ErrorScopes::end) {
            keep_first(&self.failure, text);
        }
        let loaded = loaded?;
        if let Err(error) = self.check() {
            // One of the pipelines may be the cause of the error.
            self.pipelines = Pipelines::default();
            return Err(error);
        }
        self.loaded = Some(loaded);
        if members > 1 {
            self.members = (0..members).map(|_| MemberSteps::default()).collect();
        }
        Ok(())
    }

    /// Copies values from the host to a slot of a member; 0 for one network.
    pub(super) fn write_for(
        &mut self,
        member: u32,
        slot: Slot,
        first: usize,
        values: Values<'_>,
    ) -> Result<()> {
        let loaded = self.loaded()?;
        let spec = loaded.plan.slot(slot);
        if first + values.len() > spec.len() {
            let problem =
                format!("{} values do not fit {} from {first} on", values.len(), spec.name);
            return Err(self.failed(problem));
        }
        let halves: Vec<u16>;
        let bytes: &[u8] = match (values, spec.element) {
            (Values::F32(values), Element::F32) => bytemuck::cast_slice(values),
            (Values::U32(values), Element::U32) => bytemuck::cast_slice(values),
            // Uploads are whole words: one more half is written, which is beyond the slot's end.
            (Values::F32(values), Element::F16) if Self::words(spec, first, values.len()) => {
                let padding = values.len() % 2;
                halves = values.iter().map(|&x| half::bits(x)).chain(vec![0; padding]).collect();
                bytemuck::cast_slice(&halves)
            }
            (Values::F32(_), Element::F16) => {
                let problem = format!("{}: an odd number of halves cannot be written", spec.name);
                return Err(self.failed(problem));
            }
            _ => return Err(self.failed(format!("{} holds another kind of numbers", spec.name))),
        };
        let (buffer, start) = loaded.place(slot, member);
        let offset = start + spec.element.bytes(first);
        // While steps run, no write may wait. Before them, a large table in one piece would lie here twice.
        let idle = self.flight.waiting.is_empty();
        let mut pending = self.pending;
        let part = if idle { loaded.part } else { bytes.len().max(1) };
        for (index, bytes) in bytes.chunks(part).enumerate() {
            // An empty submission makes wgpu release the copies of earlier writes.
            if idle && pending + bytes.len() > loaded.part {
                self.wait(Some(self.queue.submit([])))?;
                pending = 0;
            }
            self.queue.write_buffer(buffer, offset + (index * part) as u64, bytes);
            pending += bytes.len();
        }
        self.pending = pending;
        self.count(|meter| meter.uploaded(bytes.len() as u64));
        self.check()
    }

    /// Submits steps that `encode` encodes, which returns the number of its dispatches. `logs` are the members whose losses are wanted, each with the place of its first
    /// one in the log.
    pub(super) fn submit(
        &mut self,
        (phase, count, members): (Phase, u32, Vec<u32>),
        logs: &[(u32, u32)],
        encode: impl FnOnce(
            &wgpu::Device,
            &Loaded,
            Option<wgpu::ComputePassTimestampWrites<'_>>,
        ) -> (wgpu::CommandEncoder, u64),
    ) -> Result<()> {
        // Waiting for the oldest submission bounds how far the host may be ahead.
        while self.flight.waiting.len() >= DEPTH {
            self.land()?;
        }
        let training = phase == Phase::Train;
        // The staging buffers are used in turn, one more than submissions in flight.
        let turn = self.flight.count % (DEPTH + 1);
        let begun = Instant::now();
        let stamp = self.meter.as_mut().and_then(|meter| meter.stamps.as_mut()).map(Stamps::next);
        let stamps = self.meter.as_ref().and_then(|meter| meter.stamps.as_ref());
        let stamps = stamps.zip(stamp);
        let loaded = self.loaded()?;
        let writes = stamps.map(|(stamps, turn)| stamps.writes(turn));
        let (mut encoder, dispatches) = encode(&self.device, loaded, writes);
        if let Some((stamps, turn)) = stamps {
            stamps.bring(&mut encoder, turn);
        }
        // Losses are copied in the same submission, so that reading them later waits for nothing else.
        let log = if logs.is_empty() { None } else { loaded.plan.log() };
        let bytes = 4 * u64::from(count);
        for (place, &(member, first)) in (0..).zip(logs) {
            let Some(log) = log else { break };
            let (buffer, start) = loaded.place(log, member);
            let (from, to) = (start + 4 * u64::from(first), place * bytes);
            encoder.copy_buffer_to_buffer(buffer, from, &loaded.staging[turn], to, bytes);
        }
        let commands = encoder.finish();
        let encoded = Instant::now();
        let index = self.queue.submit([commands]);
        let submitted = Instant::now();
        // Mapping is requested after the submission, since a mapped buffer cannot be copied to.
        let bytes = bytes * logs.len() as u64;
        let staging = log.map(|_| (turn, map(&loaded.staging[turn], bytes)));
        let stamp = stamps.map(|(stamps, turn)| (turn, map(&stamps.read[turn], PAIR_BYTES)));
        self.count(|meter| {
            meter.counts.submissions += 1;
            meter.counts.dispatches += dispatches;
            meter.counts.encode_seconds += (encoded - begun).as_secs_f64();
            meter.counts.submit_seconds += (submitted - encoded).as_secs_f64();
        });
        // A submission hands over all writes before it.
        self.pending = 0;
        // Only submissions with losses use up a staging buffer.
        self.flight.count += usize::from(staging.is_some());
        self.flight.waiting.push_back(Submitted {
            index,
            training,
            steps: count,
            members,
            at: submitted,
            staging,
            stamp,
        });
        let pace = if training { &mut self.flight.train } else { &mut self.flight.eval };
        pace.submitted(count);
        self.check()
    }

    /// Returns the type of a slot's elements, which have to be `len` floats or more.
    pub(super) fn float_element(&self, slot: Slot, len: usize) -> Result<Element> {
        let spec = self.loaded()?.plan.slot(slot);
        if !spec.element.is_float() || len > spec.len() {
            return Err(self.failed(format!("{} does not hold {len} floats", spec.name)));
        }
        Ok(spec.element)
    }

    /// Returns the floats in the readback buffer, whose mapping was requested and waited for.
    pub(super) fn collect_floats(
        &self,
        element: Element,
        bytes: u64,
        mapped: &MappedReceiver,
    ) -> Result<Vec<f32>> {
        let buffer = &self.loaded()?.readback;
        if element == Element::F16 {
            let halves: Vec<u16> = self.collect(buffer, bytes, mapped)?;
            return Ok(halves.into_iter().map(half::value).collect());
        }
        self.collect(buffer, bytes, mapped)
    }

    /// Waits, then copies the first elements of a member's slot to the host.
    pub(super) fn read_for(&mut self, member: u32, slot: Slot, len: usize) -> Result<Vec<f32>> {
        // Reading waits for all submissions anyway, and those that are taken in now are measured at the right time.
        while !self.flight.waiting.is_empty() {
            self.land()?;
        }
        let loaded = self.loaded()?;
        let element = self.float_element(slot, len)?;
        let (buffer, start) = loaded.place(slot, member);
        let total = element.bytes(len).next_multiple_of(4);
        let mut values = Vec::with_capacity(len);
        let mut done = 0;
        // Long results come in parts through one buffer, so that reading needs no memory of the result's size.
        while done < total {
            let bytes = (total - done).min(loaded.readback.size());
            let mut encoder =
                self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            encoder.copy_buffer_to_buffer(buffer, start + done, &loaded.readback, 0, bytes);
            let index = self.queue.submit([encoder.finish()]);
            let mapped = map(&loaded.readback, bytes);
            self.wait(Some(index))?;
            values.extend(self.collect_floats(element, bytes, &mapped)?);
            done += bytes;
        }
        // Half-precision values come in whole words, so there may be one too many.
        values.truncate(len);
        self.count(|meter| meter.read(total));
        Ok(values)
    }
}

impl Device for GpuDevice {
    fn info(&self) -> &DeviceInfo {
        &self.info
    }

    fn load(&mut self, plan: &Plan) -> Result<()> {
        self.load_for(plan, 1)?;
        // Written here, so that every load gives the same values to start from.
        write_starts(self, plan)
    }

    fn write(&mut self, slot: Slot, first: usize, values: Values<'_>) -> Result<()> {
        self.write_for(0, slot, first, values)
    }

    fn write_steps(&mut self, phase: Phase, rows: &[StepParams]) -> Result<()> {
        if rows.len() > WINDOW {
            return Err(
                self.failed(format!("{} steps at once, at most {WINDOW} are possible", rows.len()))
            );
        }
        let loaded = self.loaded()?;
        let table = match phase {
            Phase::Train => &loaded.train_rows,
            Phase::Eval | Phase::Measure => &loaded.eval_rows,
        };
        if !rows.is_empty() && loaded.steps(phase).is_empty() {
            return Err(self.failed(format!("the plan has no steps of the phase {phase:?}")));
        }
        // The whole table is written in one upload, however many submissions follow.
        let rows: Vec<StepParamsRow> = rows.iter().map(row).collect();
        let bytes: &[u8] = bytemuck::cast_slice(&rows);
        self.queue.write_buffer(table, 0, bytes);
        self.count(|meter| meter.uploaded(bytes.len() as u64));
        self.check()
    }

    fn steps_per_submission(&self, phase: Phase) -> u32 {
        match phase {
            Phase::Train => self.flight.train.steps_per_submission(),
            Phase::Eval | Phase::Measure => self.flight.eval.steps_per_submission(),
        }
    }

    fn run(&mut self, phase: Phase, steps: Range<u32>) -> Result<()> {
        if steps.is_empty() {
            return Ok(());
        }
        let count = steps.end - steps.start;
        let log = (phase == Phase::Train).then_some((0, steps.start));
        self.submit((phase, count, Vec::new()), log.as_slice(), |device, loaded, writes| {
            encode(device, loaded, phase, steps.clone(), writes)
        })
    }

    fn run_part(&mut self, phase: Phase, step: u32, part: Range<usize>) -> Result<()> {
        if part.is_empty() {
            return Ok(());
        }
        self.submit((phase, 1, Vec::new()), &[], |device, loaded, writes| {
            encode_part(device, loaded, (phase, step), &part, writes)
        })
    }

    fn take_losses(&mut self, wait: bool) -> Result<Vec<f32>> {
        while wait && !self.flight.waiting.is_empty() {
            self.land()?;
        }
        Ok(std::mem::take(&mut self.losses))
    }

    fn read(&mut self, slot: Slot, len: usize) -> Result<Vec<f32>> {
        self.read_for(0, slot, len)
    }
    fn slot_limit(&self) -> Option<u64> {
        Some(self.binding_limit.min(self.device.limits().max_buffer_size))
    }

    fn bytes_for(&self, plan: &Plan) -> u64 {
        self.loader(&mut Pipelines::default()).bytes_for(plan)
    }

    fn variants(&self) -> Vec<String> {
        self.loaded.as_ref().map(|loaded| loaded.variants.clone()).unwrap_or_default()
    }

    fn take_variants(&mut self, variants: &[String]) {
        self.chooser.earlier = Some(PreviousChoices::of(variants));
    }

    fn lost(&self) -> bool {
        // The browser reports a loss after the call that failed.
        yield_to_browser();
        // wgpu reports a loss when nothing is in flight any more; a driver that hangs does not get there.
        let timeout = Some(Duration::from_secs(5));
        let _ = self.device.poll(wgpu::PollType::Wait { submission_index: None, timeout });
        self.is_lost()
    }

    fn reopen(&mut self) -> Result<()> {
        self.open_again()
    }

    fn take_warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.tuner.warnings)
    }

    fn take_usage(&mut self) -> Option<Usage> {
        // The first call begins the counting and has nothing to return.
        let begun = self.meter.is_some();
        let meter = self.meter.get_or_insert_with(|| Meter::new(&self.device));
        begun.then(|| meter.take())
    }

    fn whole_steps(&self) -> Option<&'static str> {
        self.loaded.as_ref().and_then(|loaded| match loaded.steps(Phase::Train) {
            [sequence] if sequence.many_steps => Some(sequence.form),
            _ => None,
        })
    }

    fn time_steps(&mut self, phase: Phase, steps: Range<u32>) -> Result<Option<Vec<Vec<f64>>>> {
        // Steps in flight would fall into the measured time.
        while !self.flight.waiting.is_empty() {
            self.land()?;
        }
        timing::time_steps(self, phase, steps)
    }

    fn members(&mut self) -> Option<&mut dyn MemberDevice> {
        Some(self)
    }
}
