//! The program behind the page: it reads a table, trains, checks kernels and makes files, as the page's worker asks.
//!
//! In: requests as JSON, and bytes. Out: answers as JSON, and bytes; news while a run goes on.
//! Absent on purpose: the page itself, which `page/` holds, and arithmetic, which is that of the crate `wgrad`.

#![warn(missing_docs)]

mod check;
mod files;
mod plane;
mod session;
mod settings;
mod training;

use std::cell::RefCell;

use serde::{Deserialize, Serialize};
use wasm_bindgen::prelude::*;
use wgrad::{Error, Result};

use self::session::Session;
use self::settings::Settings;

#[wasm_bindgen]
extern "C" {
    /// Gives a line of JSON to the worker: news of a run.
    #[wasm_bindgen(js_name = tellPage)]
    fn tell_page(news: &str);
    /// Returns true once somebody wants the run to stop.
    #[wasm_bindgen(js_name = stopIsWanted)]
    fn stop_is_wanted() -> bool;
}

thread_local! {
    static SESSION: RefCell<Session> = RefCell::default();
    /// The request that is to be answered next, and the answer to the last one.
    static EXCHANGE: RefCell<(String, String)> = RefCell::default();
}

/// A request of the page.
#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
enum Request {
    /// Describes the columns of the table that was given.
    Columns,
    /// Trains on the table that was given.
    Train(Settings),
    /// Goes on with the run that was trained last, up to this number of epochs in all.
    GoOn { epochs: u32 },
    /// Trains on a data set of two columns, and draws its plane.
    Play(plane::PlaneSettings),
    /// Compares all kernels of the adapter with the reference.
    Verify,
    /// Says which adapters the browser has.
    Adapters,
    /// Lists the WGSL texts of all kernels, as the browser's compiler gets them.
    Shaders,
}

/// The answer to a request that failed.
#[derive(Serialize)]
struct Failure {
    error: String,
}

/// Prepares messages for the case that the program ends by a mistake of its own.
#[wasm_bindgen(start)]
pub fn start() {
    std::panic::set_hook(Box::new(|panic| {
        let error = format!("the program has a bug and ended: {panic}; load the page again");
        tell(&Failure { error });
    }));
}

/// Gives the program the bytes of a table under its name.
#[wasm_bindgen]
pub fn give_table(name: &str, bytes: Vec<u8>) -> String {
    answer(SESSION.with_borrow_mut(|session| session.take_table(name, bytes)))
}

/// Sets the request that [`respond`] answers.
#[wasm_bindgen]
pub fn ask(request: String) {
    EXCHANGE.with_borrow_mut(|exchange| *exchange = (request, String::new()));
}

/// Takes the answer to the last request.
#[wasm_bindgen]
pub fn take_answer() -> String {
    EXCHANGE.with_borrow_mut(|exchange| std::mem::take(&mut exchange.1))
}

/// Returns a file of the trained network: `model.safetensors`, `model.onnx`, `report.html` or `history.csv`.
///
/// # Errors
/// If nothing was trained, or the network cannot be written in this form.
#[wasm_bindgen]
pub fn file(name: &str) -> std::result::Result<Vec<u8>, JsError> {
    let made = SESSION.with_borrow(|session| files::file(session, name));
    made.map_err(|error| JsError::new(&error.to_string()))
}

/// Returns the predictions of the trained network for the rows of a table, as CSV.
///
/// # Errors
/// If nothing was trained, or the table does not have the network's columns.
#[wasm_bindgen]
pub fn predict(name: &str, bytes: Vec<u8>) -> std::result::Result<String, JsError> {
    let made = SESSION.with_borrow(|session| files::predictions(session, name, bytes));
    made.map_err(|error| JsError::new(&error.to_string()))
}

/// Takes a trained network from the bytes of a `model.safetensors`, and says what it predicts.
#[wasm_bindgen]
pub fn give_model(name: &str, bytes: &[u8]) -> String {
    answer(SESSION.with_borrow_mut(|session| session.take_model(name, bytes)))
}

/// Returns the style of the pictures that answers contain.
#[wasm_bindgen]
pub fn picture_style() -> String {
    wgrad::picture::STYLE.to_string()
}

/// Answers the request that [`ask`] has set. The worker calls it through `WebAssembly.promising`, so that waiting for the adapter
/// suspends it.
#[unsafe(no_mangle)]
pub extern "C" fn respond() {
    let request = EXCHANGE.with_borrow_mut(|exchange| std::mem::take(&mut exchange.0));
    let text = match serde_json::from_slice(request.as_bytes()) {
        Ok(request) => respond_to(request),
        Err(error) => answer::<()>(Err(Error::setting("request", error.to_string()))),
    };
    EXCHANGE.with_borrow_mut(|exchange| exchange.1 = text);
}

fn respond_to(request: Request) -> String {
    // The session is taken out while the program is suspended, so that nothing else finds it borrowed.
    let mut session = SESSION.take();
    let text = match request {
        Request::Columns => answer(session.columns()),
        Request::Train(settings) => answer(training::train(&mut session, &settings)),
        Request::GoOn { epochs } => answer(training::go_on(&mut session, epochs)),
        Request::Play(settings) => answer(plane::play(&settings)),
        Request::Verify => answer(check::verify_all()),
        Request::Adapters => answer(Ok(check::adapters())),
        Request::Shaders => answer(check::shaders()),
    };
    SESSION.set(session);
    text
}

/// Returns an answer, or an error, as JSON.
fn answer<T: Serialize>(result: Result<T>) -> String {
    let text = match result {
        Ok(answer) => serde_json::to_string(&answer),
        Err(error) => serde_json::to_string(&Failure { error: error.to_string() }),
    };
    text.unwrap_or_else(|error| format!("{{\"error\": {:?}}}", error.to_string()))
}

/// Tells the page something while a request is under way.
fn tell(news: &impl Serialize) {
    if let Ok(text) = serde_json::to_string(news) {
        tell_page(&text);
    }
}
