// Places in the slot `scaling`; src/plan/precision.rs says what they hold.
const SCALE: u32 = 0u;
const INVERSE: u32 = 1u;
const GOOD: u32 = 2u;
const OVERFLOW: u32 = 3u;
const SKIPPED: u32 = 4u;
