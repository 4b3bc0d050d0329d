//! One device for several members that train side by side: each member has a handle that behaves as a device of its own.
//!
//! In: a device that runs members, and their calls, each from a thread of its own. Out: calls for all members that ask for
//! the same, at once.
//! Absent on purpose: training. A member's code does not know that there are others.
//!
//! A call that runs steps, or reads results, waits until every member that still lives has made such a call; then the
//! members that ask for the same are served together. Members that are behind go first, so that members with other numbers
//! of steps meet again.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::{Device, DeviceInfo, MemberDevice, Values, write_starts};
use crate::checksum::Checksum;
use crate::error::{Error, Result};
use crate::plan::{Phase, Plan, Slot, StepParams};
use crate::shape::narrow;

/// A call that waits for the other members.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Request {
    /// Steps of a phase from `first` on.
    Run {
        phase: Phase,
        first: u32,
        count: u32,
    },
    Read {
        slot: Slot,
        len: usize,
    },
}

impl Request {
    /// Place in an epoch: training first, then what follows it.
    fn place(&self) -> u8 {
        match self {
            Self::Run { phase: Phase::Train, .. } => 0,
            Self::Run { phase: Phase::Measure, .. } => 1,
            Self::Run { phase: Phase::Eval, .. } => 2,
            Self::Read { .. } => 3,
        }
    }

    /// Returns whether a request can be served with another one of the same place: steps in any number, reads of the same.
    fn goes_with(&self, other: &Self) -> bool {
        matches!(self, Self::Run { .. }) || self == other
    }
}

/// The answer to a request: the values of a read, none for steps.
type Answer = Result<Vec<f32>>;

/// State of a member, as the hub knows it.
#[derive(Debug, Default)]
struct MemberState {
    /// True from the member's beginning until its handle is dropped.
    lives: bool,
    request: Option<Request>,
    answer: Option<Answer>,
    /// Times that the member began to train again after something else.
    rounds: u64,
    /// True if the member's last request was for training steps.
    trained: bool,
}

/// The device and the members' requests.
struct HubState {
    device: Box<dyn Device>,
    plan: Plan,
    members: Vec<MemberState>,
    /// Times that the device was opened again.
    openings: u64,
    /// True if the plan was loaded since the device was opened.
    loaded: bool,
    /// Checksums of the values of shared slots, by slot and first element.
    shared: HashMap<(Slot, usize), u64>,
}

/// One device for several members.
pub(crate) struct MemberHub {
    state: Mutex<HubState>,
    changed: Condvar,
    info: DeviceInfo,
}

/// A member's handle of the shared device.
pub(crate) struct MemberHandle {
    hub: Arc<MemberHub>,
    member: u32,
    /// Openings of the device that the member knows of; another number means that it was lost in between.
    openings: u64,
}

impl MemberHub {
    /// Loads a plan for so many members. Returns their handles, in order.
    ///
    /// # Errors
    /// If the plan is too large for the device so many times, or the driver fails.
    pub(crate) fn load(
        device: Box<dyn Device>,
        plan: &Plan,
        members: u32,
    ) -> Result<Vec<MemberHandle>> {
        let info = device.info().clone();
        let each = || MemberState { lives: true, ..MemberState::default() };
        let mut state = HubState {
            device,
            plan: plan.clone(),
            members: (0..members).map(|_| each()).collect(),
            openings: 0,
            loaded: false,
            shared: HashMap::new(),
        };
        state.load()?;
        let hub = Arc::new(Self { state: Mutex::new(state), changed: Condvar::new(), info });
        let handle = |member| MemberHandle { hub: Arc::clone(&hub), member, openings: 0 };
        Ok((0..members).map(handle).collect())
    }

    fn state(&self) -> MutexGuard<'_, HubState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the device of a hub whose handles are all gone.
    pub(crate) fn into_device(self) -> Box<dyn Device> {
        self.state.into_inner().unwrap_or_else(PoisonError::into_inner).device
    }
}

impl HubState {
    /// Returns the device as one for several members.
    fn many(&mut self) -> Result<&mut dyn MemberDevice> {
        // Asked first, since a device that is returned stays borrowed.
        if self.device.members().is_none() {
            let problem = "it runs one network at a time".to_string();
            return Err(Error::Device { adapter: self.device.info().name.clone(), problem });
        }
        Ok(self.device.members().expect("it has members"))
    }

    /// Loads the plan for all members, unless it is loaded.
    fn load(&mut self) -> Result<()> {
        if self.loaded {
            return Ok(());
        }
        let (plan, members) = (self.plan.clone(), self.members.len());
        self.many()?.load_members(&plan, narrow(members))?;
        self.loaded = true;
        self.shared.clear();
        Ok(())
    }

    /// Serves one group of requests, once every member that lives has a request. Returns whether any was served.
    fn serve(&mut self) -> bool {
        let mut waiting = Vec::new();
        for (member, state) in (0..).zip(&self.members).filter(|(_, state)| state.lives) {
            let Some(request) = state.request else { return false };
            waiting.push(((state.rounds, request.place()), member, request));
        }
        // The members that are furthest behind, and all of these that ask for the same.
        let Some(behind) = waiting.iter().map(|it| it.0).min() else { return false };
        waiting.retain(|it| it.0 == behind);
        let first = waiting[0].2;
        waiting.retain(|it| it.2.goes_with(&first));
        let together: Vec<(u32, Request)> = waiting.into_iter().map(|it| (it.1, it.2)).collect();
        match first {
            Request::Run { phase, .. } => self.run(phase, &together),
            Request::Read { slot, len } => self.read(slot, len, &together),
        }
        true
    }

    /// Runs as many steps as all of these members ask for.
    fn run(&mut self, phase: Phase, together: &[(u32, Request)]) {
        let steps = together.iter().filter_map(|(member, request)| match request {
            Request::Run { first, count, .. } => Some((*member, *first, *count)),
            Request::Read { .. } => None,
        });
        let steps: Vec<(u32, u32, u32)> = steps.collect();
        let count = steps.iter().map(|it| it.2).min().unwrap_or(0);
        let of: Vec<(u32, u32)> = steps.iter().map(|it| (it.0, it.1)).collect();
        let ran = self.many().and_then(|many| many.run_members(phase, &of, count));
        for (member, first, wanted) in steps {
            let state = &mut self.members[member as usize];
            // A member that asked for more steps goes on with the rest.
            if ran.is_ok() && wanted > count {
                let (first, count) = (first + count, wanted - count);
                state.request = Some(Request::Run { phase, first, count });
                continue;
            }
            state.request = None;
            state.answer = Some(match &ran {
                Ok(()) => Ok(Vec::new()),
                Err(error) => Err(again(error, self.device.info())),
            });
        }
    }

    /// Reads a slot of these members.
    fn read(&mut self, slot: Slot, len: usize, together: &[(u32, Request)]) {
        let members: Vec<u32> = together.iter().map(|(member, _)| *member).collect();
        let read = self.many().and_then(|many| many.read_members(&members, slot, len));
        let mut values = read.map(Vec::into_iter);
        for member in members {
            let state = &mut self.members[member as usize];
            state.request = None;
            state.answer = Some(match &mut values {
                Ok(values) => Ok(values.next().expect("the device returns values of each member")),
                Err(error) => Err(again(error, self.device.info())),
            });
        }
    }
}

/// Returns an error once more, for another member.
fn again(error: &Error, info: &DeviceInfo) -> Error {
    match error {
        Error::OutOfMemory { adapter, problem } => {
            Error::OutOfMemory { adapter: adapter.clone(), problem: problem.clone() }
        }
        Error::Device { adapter, problem } => {
            Error::Device { adapter: adapter.clone(), problem: problem.clone() }
        }
        other => Error::Device { adapter: info.name.clone(), problem: other.to_string() },
    }
}

impl MemberHandle {
    /// Returns the hub, whose device can be had back once all handles are gone.
    pub(crate) fn hub(&self) -> Arc<MemberHub> {
        Arc::clone(&self.hub)
    }

    /// Calls the device for this member, if the member knows of its last opening.
    fn with<R>(&self, call: impl FnOnce(&mut HubState, u32) -> Result<R>) -> Result<R> {
        let mut state = self.hub.state();
        if state.openings != self.openings {
            return Err(self.lost_before());
        }
        call(&mut state, self.member)
    }

    fn lost_before(&self) -> Error {
        let problem = "the device was lost, and opened again for another member".to_string();
        Error::Device { adapter: self.hub.info.name.clone(), problem }
    }

    /// Waits for the answer to a request that is served for all members at once.
    fn ask(&self, request: Request) -> Answer {
        let at = self.member as usize;
        let mut state = self.hub.state();
        if state.openings != self.openings {
            return Err(self.lost_before());
        }
        let member = &mut state.members[at];
        let trains = request.place() == 0;
        if trains && !member.trained {
            member.rounds += 1;
        }
        member.trained = trains;
        member.request = Some(request);
        loop {
            if state.serve() {
                self.hub.changed.notify_all();
            }
            if let Some(answer) = state.members[at].answer.take() {
                return answer;
            }
            state = self.hub.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Drop for MemberHandle {
    fn drop(&mut self) {
        let mut state = self.hub.state();
        let member = &mut state.members[self.member as usize];
        (member.lives, member.request) = (false, None);
        drop(state);
        // The others may have waited for this member alone.
        self.hub.changed.notify_all();
    }
}

impl Device for MemberHandle {
    fn info(&self) -> &DeviceInfo {
        &self.hub.info
    }

    fn load(&mut self, plan: &Plan) -> Result<()> {
        // The hub's plan has room for the rows of every member; values to start from are the member's own.
        self.with(|state, _| state.load())?;
        write_starts(self, plan)
    }

    fn write(&mut self, slot: Slot, first: usize, values: Values<'_>) -> Result<()> {
        self.with(|state, member| {
            if state.plan.shared().contains(&slot) {
                let checksum = checksum(values);
                match state.shared.insert((slot, first), checksum) {
                    None => {}
                    Some(before) if before == checksum => return Ok(()),
                    Some(_) => {
                        let name = &state.plan.slot(slot).name;
                        let problem = format!("{name} has other values for member {member}");
                        return Err(Error::Device {
                            adapter: state.device.info().name.clone(),
                            problem,
                        });
                    }
                }
            }
            state.many()?.write_member(member, slot, first, values)
        })
    }

    fn write_steps(&mut self, phase: Phase, rows: &[StepParams]) -> Result<()> {
        self.with(|state, member| state.many()?.write_member_steps(member, phase, rows))
    }

    fn steps_per_submission(&self, phase: Phase) -> u32 {
        self.hub.state().device.steps_per_submission(phase)
    }

    fn run(&mut self, phase: Phase, steps: Range<u32>) -> Result<()> {
        let count = steps.end.saturating_sub(steps.start);
        if count == 0 {
            return Ok(());
        }
        self.ask(Request::Run { phase, first: steps.start, count }).map(drop)
    }

    fn take_losses(&mut self, wait: bool) -> Result<Vec<f32>> {
        self.with(|state, member| state.many()?.take_member_losses(member, wait))
    }

    fn read(&mut self, slot: Slot, len: usize) -> Result<Vec<f32>> {
        self.ask(Request::Read { slot, len })
    }

    fn slot_limit(&self) -> Option<u64> {
        self.hub.state().device.slot_limit()
    }

    fn bytes_for(&self, plan: &Plan) -> u64 {
        self.hub.state().device.bytes_for(plan)
    }

    fn variants(&self) -> Vec<String> {
        self.hub.state().device.variants()
    }

    fn lost(&self) -> bool {
        let state = self.hub.state();
        state.openings != self.openings || state.device.lost()
    }

    fn reopen(&mut self) -> Result<()> {
        let mut state = self.hub.state();
        // The first member that notices opens the device again, for all.
        if state.openings == self.openings {
            state.device.reopen()?;
            state.openings += 1;
            state.loaded = false;
        }
        self.openings = state.openings;
        Ok(())
    }

    fn take_warnings(&mut self) -> Vec<String> {
        self.hub.state().device.take_warnings()
    }

    fn whole_steps(&self) -> Option<&'static str> {
        self.hub.state().device.whole_steps()
    }
}

/// Returns a checksum of values.
fn checksum(values: Values<'_>) -> u64 {
    let mut sum = Checksum::default();
    match values {
        Values::F32(values) => sum.floats(values),
        Values::U32(values) => values.iter().for_each(|&it| sum.word(it)),
    }
    sum.value()
}
