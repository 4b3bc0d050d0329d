//! The terminal while a live view is on it: the alternate screen, without a cursor.
//!
//! In: lines. Out: the same on standard error, in place of the lines before. The terminal is as it was after the view, however the
//! program ends: also at a panic, and when a signal ends it at once.

use std::io::Write;
use std::panic;
use std::sync::{Mutex, Once, PoisonError, TryLockError};

use console::Term;

/// Begins the alternate screen, hides the cursor, and lets long lines end at the edge.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J";
/// Undoes [`ENTER`].
const LEAVE: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";
/// Size of a window that does not tell its own.
const USUAL: (usize, usize) = (80, 24);

/// State of the terminal, which several threads write to.
#[derive(Debug, Default)]
struct Screen {
    active: bool,
    /// Message to show in the view.
    notice: Option<String>,
}

static SCREEN: Mutex<Screen> = Mutex::new(Screen { active: false, notice: None });
static HOOK: Once = Once::new();

/// Returns the reason why there can be no view on standard error, if so.
pub(super) fn refused() -> Option<&'static str> {
    let term = Term::stderr();
    if !term.is_term() {
        return Some("standard error is no terminal");
    }
    if std::env::var_os("TERM").is_some_and(|term| term == "dumb") {
        return Some("this terminal cannot be drawn on (TERM=dumb)");
    }
    // There, asking for colours is what lets a console obey control sequences.
    if cfg!(windows) && !term.features().colors_supported() {
        return Some("this console obeys no control sequences");
    }
    None
}

/// Returns width and height of the window.
pub(super) fn size() -> (usize, usize) {
    let size = Term::stderr().size_checked().filter(|it| it.0 > 0 && it.1 > 0);
    size.map_or(USUAL, |(height, width)| (width.into(), height.into()))
}

/// Returns true if the user wants colours.
pub(super) fn has_colours() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|it| it.is_empty())
}

/// Begins a view.
pub(super) fn enter() {
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            // The message would be lost with the alternate screen.
            leave();
            before(info);
        }));
    });
    let mut screen = SCREEN.lock().unwrap_or_else(PoisonError::into_inner);
    *screen = Screen { active: true, notice: None };
    write(ENTER);
}

/// Shows lines in place of those before.
pub(super) fn draw(lines: &[String]) {
    let screen = SCREEN.lock().unwrap_or_else(PoisonError::into_inner);
    if !screen.active {
        return;
    }
    let mut text = "\x1b[H".to_string();
    for (place, line) in lines.iter().enumerate() {
        text += if place == 0 { "" } else { "\r\n" };
        text += line;
        text += "\x1b[K";
    }
    write(&(text + "\x1b[J"));
}

/// Returns the message to show, if there is one.
pub(super) fn notice() -> Option<String> {
    SCREEN.lock().unwrap_or_else(PoisonError::into_inner).notice.clone()
}

/// Ends a view, if there is one: the terminal shows what it did before.
pub(crate) fn leave() {
    let mut screen = match SCREEN.try_lock() {
        Ok(screen) => screen,
        Err(TryLockError::Poisoned(screen)) => screen.into_inner(),
        // Another thread is drawing, or this one panicked while it did; a thread that draws is done at once.
        Err(TryLockError::WouldBlock) => {
            std::thread::sleep(std::time::Duration::from_millis(50));
            match SCREEN.try_lock() {
                Ok(screen) => screen,
                Err(TryLockError::Poisoned(screen)) => screen.into_inner(),
                Err(TryLockError::WouldBlock) => return write(LEAVE),
            }
        }
    };
    if std::mem::take(&mut screen.active) {
        write(LEAVE);
    }
}

/// Shows a message in the view from its next frame on. Returns false if there is no view.
pub(crate) fn notify(text: &str) -> bool {
    let mut screen = SCREEN.lock().unwrap_or_else(PoisonError::into_inner);
    if screen.active {
        screen.notice = Some(text.to_string());
    }
    screen.active
}

fn write(text: &str) {
    let mut stderr = std::io::stderr();
    // With stderr closed there is nobody to show it to.
    let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Name of this test, which runs itself in a process of its own.
    const ITSELF: &str =
        "report::console::view::screen::tests::a_panic_leaves_the_alternate_screen";
    const INSIDE: &str = "WGRAD_TEST_OF_A_PANIC";

    #[test]
    fn a_panic_leaves_the_alternate_screen() {
        if std::env::var_os(INSIDE).is_some() {
            enter();
            draw(&["a frame".to_string()]);
            panic!("a fault");
        }
        let program = std::env::current_exe().unwrap();
        let output = Command::new(program)
            .args(["--exact", ITSELF, "--nocapture"])
            .env(INSIDE, "1")
            .output();
        let said = String::from_utf8(output.unwrap().stderr).unwrap();
        let place =
            |text: &str| said.find(text).unwrap_or_else(|| panic!("{text:?} not in {said:?}"));
        assert!(place(ENTER) < place("a frame") && place("a frame") < place(LEAVE), "{said:?}");
        assert!(place(LEAVE) < place("a fault"), "the message is lost: {said:?}");
        assert_eq!(said.matches(LEAVE).count(), 1, "{said:?}");
    }
}
