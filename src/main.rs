//! The program `wgrad`: arguments in, an exit code out.

use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    quiet_drivers();
    match wgrad::cli::run(wgrad::cli::Cli::from_args(std::env::args_os())) {
        Ok(exit) => {
            wgrad::cli::leave_ranks(None);
            ExitCode::from(exit.code())
        }
        Err(failure) => {
            if !failure.is_silent() {
                // With stderr closed there is nobody to tell.
                let _ = writeln!(std::io::stderr(), "{}", failure.line());
            }
            wgrad::cli::leave_ranks(Some(failure.code()));
            ExitCode::from(failure.code())
        }
    }
}

/// Without a desktop, a layer that Mesa puts in front of all Vulkan drivers complains on stderr that it finds no
/// Wayland display to sort the adapters by. This program chooses among adapters itself, so the layer is told to
/// stay out, unless the user has asked it for something.
fn quiet_drivers() {
    let unset = |name| std::env::var_os(name).is_none();
    if cfg!(target_os = "linux") && unset("XDG_RUNTIME_DIR") && unset("MESA_VK_DEVICE_SELECT") {
        #[expect(
            unsafe_code,
            reason = "the environment is only unsafe to change beside other threads"
        )]
        // SAFETY: the first thing that the program does, before there is any other thread.
        unsafe {
            std::env::set_var("NODEVICE_SELECT", "1");
        }
    }
}
