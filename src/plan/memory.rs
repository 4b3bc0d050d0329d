//! Which values share memory: lifetimes, and the bytes that come of them.

use std::ops::Range;

use super::{Element, Phase, Plan, Role, Slot, Step};

/// Elements of a shared buffer at most, unless one value is larger: 256 MiB, which every adapter allows a buffer.
const MOST: usize = 1 << 26;

/// A value that lives only inside a phase, before it has a place.
#[derive(Clone, Debug)]
pub(super) struct Temporary {
    /// The slot's index.
    pub(super) slot: usize,
    /// Elements.
    pub(super) len: usize,
    /// What they are.
    pub(super) element: Element,
}

/// A temporary with the steps from its first to its last, and those of them that read or write it.
struct Life {
    slot: usize,
    len: usize,
    element: Element,
    phase: Phase,
    first: usize,
    last: usize,
    reads: Vec<usize>,
    writes: Vec<usize>,
}

impl Life {
    fn of(temporary: &Temporary, phase: Phase, steps: &[Step]) -> Option<Self> {
        let used = |slots: fn(&Step) -> &Vec<Slot>| -> Vec<usize> {
            let uses = |step: &Step| slots(step).iter().any(|s| s.0 as usize == temporary.slot);
            (0..steps.len()).filter(|&index| uses(&steps[index])).collect()
        };
        let (reads, writes) = (used(|step| &step.reads), used(|step| &step.writes));
        let all = || reads.iter().chain(&writes).copied();
        Some(Self {
            slot: temporary.slot,
            len: temporary.len,
            element: temporary.element,
            phase,
            first: all().min()?,
            last: all().max()?,
            reads,
            writes,
        })
    }

    /// Whether both must last at the same time.
    fn meets(&self, other: &Self) -> bool {
        self.phase == other.phase && self.first <= other.last && other.first <= self.last
    }

    /// Whether a step reads one and writes the other: WebGPU checks usage for whole buffers, so these two need two.
    fn clashes(&self, other: &Self) -> bool {
        // Both have to be in use at that step; most values never meet.
        if !self.meets(other) {
            return false;
        }
        let both = |a: &[usize], b: &[usize]| a.iter().any(|step| b.contains(step));
        self.phase == other.phase
            && (both(&self.reads, &other.writes) || both(&self.writes, &other.reads))
    }
}

/// Where a temporary lies: which of the shared buffers, from which element on.
pub(super) type Place = (usize, usize);
/// Slots with their places, and of each shared buffer what its elements are and how many.
type Places = (Vec<(usize, Place)>, Vec<(Element, usize)>);

/// Gives the temporaries of all phases places in as few shared buffers as usage allows. Phases never run at once.
///
/// The best assignment is a hard problem, so several orders are tried and the one that takes least is kept.
pub(super) fn assign(phases: &[(Phase, &[Temporary], &[Step])]) -> Places {
    let lives = phases.iter().flat_map(|(phase, temporaries, steps)| {
        temporaries.iter().filter_map(|temporary| Life::of(temporary, *phase, steps))
    });
    let lives: Vec<Life> = lives.collect();
    // Large values first, or the order of the steps forwards and backwards, or those that last long.
    let orders: [fn(&Life) -> usize; 5] = [
        |life| usize::MAX - life.len,
        |life| life.first,
        |life| usize::MAX - life.last,
        |life| usize::MAX - (life.last - life.first),
        |life| usize::MAX - (life.last - life.first + 1) * life.len,
    ];
    let tried = orders.into_iter().flat_map(|order| {
        let mut lives: Vec<&Life> = lives.iter().collect();
        lives.sort_by_key(|life| order(life));
        [place(&lives, false), place(&lives, true)]
    });
    let bytes = |(element, len): &(Element, usize)| element.bytes(*len);
    tried.min_by_key(|(_, buffers)| buffers.iter().map(bytes).sum::<u64>()).unwrap_or_default()
}

/// Gives values places one after the other, each where buffers grow least, as low as those that it meets there leave
/// room. Where an old buffer would grow as much as a new one is large, `spread` takes the new one.
/// A buffer holds elements of one kind.
fn place(lives: &[&Life], spread: bool) -> Places {
    let mut placed: Vec<(usize, Place)> = Vec::with_capacity(lives.len());
    let mut buffers: Vec<(Element, usize)> = vec![];
    // What lies in each buffer, with its offset: a value is compared with each other one once.
    let mut members: Vec<Vec<(&Life, usize)>> = vec![];
    for life in lives {
        let inside = |buffer: usize| {
            let there = || members[buffer].iter();
            there().all(|(other, _)| !life.clashes(other)).then(|| {
                let taken = there().filter(|(other, _)| life.meets(other));
                let taken = taken.map(|(other, offset)| *offset..*offset + other.len);
                lowest(life.len, life.element.alignment(), taken.collect())
            })
        };
        // A buffer of its own costs no more than the value, so sharing never costs memory.
        let growth = |&(buffer, offset): &Place| {
            (offset + life.len).saturating_sub(buffers.get(buffer).map_or(0, |it| it.1))
        };
        let alike = (0..buffers.len()).filter(|&buffer| buffers[buffer].0 == life.element);
        let places = alike.filter_map(|buffer| Some((buffer, inside(buffer)?)));
        let places = places.filter(|place| place.1 + life.len <= MOST.max(life.len));
        let new = (buffers.len(), 0);
        let best = places.min_by_key(growth);
        let worse = |old: &Place| growth(old) > life.len || (spread && growth(old) == life.len);
        let place = best.filter(|old| !worse(old)).unwrap_or(new);
        buffers.resize(buffers.len().max(place.0 + 1), (life.element, 0));
        buffers[place.0].1 = buffers[place.0].1.max(place.1 + life.len);
        members.resize(buffers.len(), Vec::new());
        members[place.0].push((*life, place.1));
        placed.push((life.slot, place));
    }
    (placed, buffers)
}

/// The lowest offset at which so many elements lie clear of what is taken, aligned for bindings.
fn lowest(len: usize, alignment: usize, mut taken: Vec<Range<usize>>) -> usize {
    taken.sort_by_key(|range| range.start);
    let mut offset = 0;
    for range in taken {
        if offset + len <= range.start {
            break;
        }
        offset = offset.max(range.end.next_multiple_of(alignment));
    }
    offset
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
    /// The most that lives at once of these, less than which no sharing can reach.
    pub live: u64,
    /// Activations if nothing were shared.
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
            // Each in a buffer of its own, of whole words.
            .map(|(_, slot)| slot.bytes().next_multiple_of(4))
            .sum();
        memory.live = Phase::ALL.map(|phase| live(plan, phase)).into_iter().max().unwrap_or(0);
        memory
    }

    /// Bytes below which no assignment can get: parameters, gradients, state and data, and the most that lives at once
    /// of the activations.
    pub fn bound(&self) -> u64 {
        self.params + self.gradients + self.state + self.live + self.data
    }

    /// All bytes.
    pub fn total(&self) -> u64 {
        self.params + self.gradients + self.state + self.activations + self.data
    }
}

/// Bytes of the activations that live at once in a phase, at most.
fn live(plan: &Plan, phase: Phase) -> u64 {
    let steps = plan.steps(phase);
    let lives = plan.slots().filter(|(_, spec)| plan.buffer(spec.buffer).role == Role::Activations);
    let lives = lives.filter_map(|(slot, spec)| {
        let (len, element) = (spec.len(), spec.element);
        let temporary = Temporary { slot: slot.0 as usize, len, element };
        Life::of(&temporary, phase, steps)
    });
    let lives: Vec<Life> = lives.collect();
    let at = |step: usize| lives.iter().filter(move |life| life.first <= step && step <= life.last);
    (0..steps.len())
        .map(|step| at(step).map(|life| life.element.bytes(life.len)).sum())
        .max()
        .unwrap_or(0)
}
