//! How much memory a thread holds, with limits that end the process where they are passed.
//!
//! Memory that is passed between threads counts for the one that asked for it. Readers that have threads of their own are limited in what
//! one of them may ask for at once.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// Most bytes that any thread may ask for at once. No input is so long that it needs as many.
const AT_ONCE: usize = 1 << 30;

thread_local! {
    // Without a destructor, so that the allocator may use them at any time.
    static HELD: Cell<usize> = const { Cell::new(0) };
    static LIMIT: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// The system's allocator, which counts.
pub struct Counting;

#[allow(clippy::print_stderr, reason = "a process that ends has nobody else to tell")]
fn take(bytes: usize) {
    if bytes > AT_ONCE {
        LIMIT.set(usize::MAX);
        eprintln!("{bytes} bytes are asked for at once, but {AT_ONCE} are allowed");
        std::process::abort();
    }
    let held = HELD.get().wrapping_add(bytes);
    HELD.set(held);
    let limit = LIMIT.get();
    // Memory that other threads allocated and this one freed may lead below zero.
    if held > limit && held <= isize::MAX.cast_unsigned() {
        // The message takes memory too.
        LIMIT.set(usize::MAX);
        eprintln!(
            "{held} bytes are held, the last {bytes} of them asked for at once, but {limit} are allowed"
        );
        // A panic could be caught on the way, and would take memory.
        std::process::abort();
    }
}

fn give(bytes: usize) {
    HELD.set(HELD.get().wrapping_sub(bytes));
}

#[expect(unsafe_code, reason = "an allocator can be written no other way")]
// SAFETY: all calls are passed on to the system's allocator as they are.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        take(layout.size());
        // SAFETY: the caller keeps what the trait asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        take(layout.size());
        // SAFETY: the caller keeps what the trait asks for.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        take(size.saturating_sub(layout.size()));
        give(layout.size().saturating_sub(size));
        // SAFETY: the caller keeps what the trait asks for.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        give(layout.size());
        // SAFETY: the caller keeps what the trait asks for.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Does something during which the thread may hold so many bytes more than before. More ends the process.
pub fn within<T>(bytes: usize, work: impl FnOnce() -> T) -> T {
    let before = LIMIT.replace(HELD.get().saturating_add(bytes));
    let done = work();
    LIMIT.set(before);
    done
}
