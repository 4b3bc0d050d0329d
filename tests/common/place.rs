//! The program as users meet it, in a folder of its own.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

/// A folder to work in, and the program in it, on the CPU device.
pub(crate) struct Place(TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    pub(crate) fn json(&self, name: &str) -> Value {
        serde_json::from_str(&self.read(name)).unwrap()
    }

    pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub(crate) fn command(&self, args: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wgrad"));
        command.args(args.split(' ')).current_dir(self.0.path()).stdin(Stdio::null());
        // These need no device, or have that of a run.
        if !["calibrate", "export", "inspect", "info", "plot", "report", "resume", "sweep --merge"]
            .iter()
            .any(|verb| args.starts_with(verb))
        {
            command.args(["--device", "cpu"]);
        }
        command
    }

    pub(crate) fn run(&self, args: &str) -> Output {
        self.command(args).output().unwrap()
    }

    /// Standard output of a run that must succeed.
    pub(crate) fn out(&self, args: &str) -> String {
        self.ok(args).0
    }

    /// Standard output and error of a run that must succeed; lines of progress that go on are put together again.
    pub(crate) fn ok(&self, args: &str) -> (String, String) {
        let output = self.run(args);
        let [out, said] =
            [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        assert_eq!(output.status.code(), Some(0), "{args}: {said}");
        for line in said.lines().filter(|line| !line.starts_with("warning: ")) {
            assert!(line.chars().count() <= 80, "{args}: {line}");
        }
        (out, said.replace("\n        ", " "))
    }

    /// Returns the message of a run that must fail.
    pub(crate) fn refused(&self, args: &str) -> String {
        let output = self.run(args);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(matches!(output.status.code(), Some(1 | 2)), "{args}: {said}");
        said
    }

    pub(crate) fn evaluated(&self, args: &str) -> Value {
        let (out, _) = self.ok(&format!("evaluate {args} --json --quiet"));
        serde_json::from_str(&out).unwrap()
    }

    /// Events of a training.
    pub(crate) fn events(&self, args: &str) -> Vec<Value> {
        let (out, _) = self.ok(&format!("train {args} --json --quiet"));
        out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// Kills a program after some time. Returns true if it was still at work.
pub(crate) fn killed(mut command: Command, after: Duration) -> bool {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(after);
    let at_work = child.try_wait().unwrap().is_none();
    child.kill().unwrap();
    child.wait().unwrap();
    at_work
}

/// The first event of a name.
pub(crate) fn event<'a>(events: &'a [Value], name: &str) -> &'a Value {
    events.iter().find(|event| event["event"] == name).unwrap()
}
