//! Waiting for an adapter: a program blocks its thread, a page suspends its WebAssembly until the browser has answered.
//!
//! Suspending is [JSPI](https://github.com/WebAssembly/js-promise-integration): the page calls the program's exports through
//! `WebAssembly.promising`, and gives it two functions of `WebAssembly.Suspending`: `suspend`, which returns once a promise of the
//! adapter is settled, and `turn`, which returns after the browser's other work.

use std::sync::mpsc::{Receiver, RecvError};

/// True where waiting suspends, and results come by callbacks of the browser only.
pub(crate) const SUSPENDS: bool = cfg!(all(feature = "web", target_arch = "wasm32"));

#[cfg(all(feature = "web", target_arch = "wasm32"))]
mod page {
    #![allow(unsafe_code, reason = "a function of the page is declared in no other way")]

    #[link(wasm_import_module = "./waiting.js")]
    unsafe extern "C" {
        pub(super) safe fn suspend();
        pub(super) safe fn turn();
    }
}

/// Lets the browser go on with its other work: promises that are settled, messages; returns at once elsewhere.
pub fn yield_to_browser() {
    #[cfg(all(feature = "web", target_arch = "wasm32"))]
    page::turn();
}

/// Lets the browser answer.
#[cfg(all(feature = "web", target_arch = "wasm32"))]
fn suspend() {
    page::suspend();
}

/// Is not called elsewhere.
#[cfg(not(all(feature = "web", target_arch = "wasm32")))]
fn suspend() {}

/// Waits for a future.
#[cfg(not(all(feature = "web", target_arch = "wasm32")))]
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    pollster::block_on(future)
}

/// Waits for a future: its waker does nothing, since the future is polled after each turn of the browser.
#[cfg(all(feature = "web", target_arch = "wasm32"))]
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    loop {
        if let std::task::Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
        suspend();
    }
}

/// Waits for a message, which in a browser a callback sends.
///
/// # Errors
/// If nobody can send one any more.
pub(crate) fn receive<T>(from: &Receiver<T>) -> Result<T, RecvError> {
    if !SUSPENDS {
        return from.recv();
    }
    loop {
        match from.try_recv() {
            Ok(message) => return Ok(message),
            Err(std::sync::mpsc::TryRecvError::Disconnected) => return Err(RecvError),
            Err(std::sync::mpsc::TryRecvError::Empty) => suspend(),
        }
    }
}
