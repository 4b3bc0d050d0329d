//! The live view of `--view` on a pseudo-terminal, which `script` of util-linux makes.

#![cfg(all(feature = "cli", target_os = "linux"))]
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

#[path = "common/place.rs"]
#[expect(dead_code, reason = "other programs of tests use these")]
mod place;

use std::io::{ErrorKind, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use place::Place;

const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l";
const LEAVE: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";
/// Time after which a program that has not ended is at fault.
const PATIENCE: Duration = Duration::from_secs(120);

/// A program on a pseudo-terminal.
struct Terminal {
    child: Child,
    shown: Receiver<Vec<u8>>,
    /// Everything that was shown so far. A character may end in the next part.
    bytes: Vec<u8>,
}

impl Terminal {
    /// Runs a shell's commands, with `wgrad` for the program.
    fn run(place: &Place, commands: &str) -> Self {
        let commands = commands.replace("wgrad", env!("CARGO_BIN_EXE_wgrad"));
        let mut child = Command::new("script")
            .args(["-qec", &commands, "/dev/null"])
            .env("TERM", "xterm-256color")
            .current_dir(place.path("."))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("script of util-linux is needed");
        let mut out = child.stdout.take().unwrap();
        let (to, shown) = channel();
        thread::spawn(move || {
            let mut part = [0; 4096];
            while let Ok(length @ 1..) = out.read(&mut part) {
                if to.send(part[..length].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self { child, shown, bytes: Vec::new() }
    }

    /// Waits until the terminal has shown a text so many times.
    fn until(&mut self, wanted: &str, times: usize) {
        let begun = Instant::now();
        while String::from_utf8_lossy(&self.bytes).matches(wanted).count() < times {
            match self.shown.recv_timeout(Duration::from_millis(200)) {
                Ok(part) => self.bytes.extend(part),
                Err(_) => assert!(
                    begun.elapsed() < PATIENCE,
                    "{wanted:?} not in {:?}",
                    String::from_utf8_lossy(&self.bytes)
                ),
            }
        }
    }

    /// Presses keys. A program that has ended meanwhile reads none.
    fn press(&mut self, keys: &[u8]) {
        if let Err(error) = self.child.stdin.as_mut().unwrap().write_all(keys) {
            assert_eq!(error.kind(), ErrorKind::BrokenPipe, "{error}");
        }
    }

    /// Returns the exit code and all that was shown.
    fn end(mut self) -> (i32, String) {
        let mut bytes = std::mem::take(&mut self.bytes);
        let begun = Instant::now();
        let status = loop {
            while let Ok(part) = self.shown.recv_timeout(Duration::from_millis(50)) {
                bytes.extend(part);
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if begun.elapsed() > PATIENCE {
                self.child.kill().unwrap();
                panic!("it did not end: {:?}", String::from_utf8_lossy(&bytes));
            }
        };
        bytes.extend(self.shown.iter().flatten());
        (status.code().unwrap(), String::from_utf8(bytes).unwrap())
    }
}

fn table(place: &Place) {
    let rows =
        (0..200).map(|i| format!("{},{},{}\n", i * 37 % 101, i * 53 % 89, i * 37 % 101 + i % 7));
    place.write("t.csv", &format!("a,b,y\n{}", rows.collect::<String>()));
}

/// Frames of a view, without colours: the lines of each.
fn frames(text: &str) -> Vec<Vec<String>> {
    let view = text.split(ENTER).nth(1).unwrap().split(LEAVE).next().unwrap();
    let plain = |line: &str| {
        let mut plain = String::new();
        let mut rest = line;
        while let Some(at) = rest.find("\x1b[") {
            plain += &rest[..at];
            let end = rest[at + 2..].find(|c: char| c.is_ascii_alphabetic()).unwrap();
            rest = &rest[at + 2 + end + 1..];
        }
        plain + rest
    };
    view.split("\x1b[H")
        .skip(1)
        .map(|frame| {
            frame.split('\n').map(|line| plain(&line.replace('\r', "").replace("^C", ""))).collect()
        })
        .collect()
}

/// Checks that the terminal is left as it was, and returns what was shown before the view and after it.
fn around(text: &str) -> (&str, &str) {
    assert_eq!(text.matches(ENTER).count(), 1, "{text:?}");
    assert_eq!(text.matches(LEAVE).count(), 1, "{text:?}");
    let (before, rest) = text.split_once(ENTER).unwrap();
    let (_, after) = rest.split_once(LEAVE).unwrap();
    // A message of an interrupt clears its line.
    assert!(!after.replace("\x1b[K", "").contains('\x1b'), "{after:?}");
    (before, after)
}

#[test]
fn a_view_follows_the_window_and_leaves_the_terminal_as_it_was() {
    let place = Place::new();
    table(&place);
    let train = "wgrad train t.csv --target y --hidden 8 --device cpu --view --no-report --force";
    let sized = format!("stty rows 24 cols 80; {train} --epochs 3000 --out r");
    let (code, text) = Terminal::run(&place, &sized).end();
    assert_eq!(code, 0, "{text}");
    let (before, after) = around(&text);
    assert!(before.contains("predict `y`"), "{before:?}");
    // The lines that were told meanwhile, the last epoch's figures, and the result.
    for part in ["epoch 3000/3000  loss", "done in", "compare", "r: epoch"] {
        assert!(after.contains(part), "{part}: {after:?}");
    }
    let frames = frames(&text);
    assert!(frames.len() >= 3, "{}", frames.len());
    assert!(frames.iter().flatten().all(|line| line.chars().count() <= 80), "{frames:#?}");
    let last = frames.last().unwrap();
    assert!(last.iter().any(|line| line.contains("rows/s")), "{last:#?}");
    assert!(
        last.iter().flat_map(|line| line.chars()).any(|c| ('\u{2801}'..='\u{28ff}').contains(&c)),
        "{last:#?}"
    );
    // A window that becomes narrow while the run goes on.
    let narrow = "(sleep 1; stty rows 9 cols 30 < /dev/tty) & ";
    let mut terminal = Terminal::run(
        &place,
        &format!("stty rows 24 cols 80; {narrow}{train} --epochs 1000000 --out s"),
    );
    terminal.until("\x1b[H", 3);
    thread::sleep(Duration::from_millis(2000));
    terminal.press(b"\x03");
    let (code, text) = terminal.end();
    assert_eq!(code, 130, "{text}");
    let (_, after) = around(&text);
    assert!(after.contains("interrupted after step"), "{after:?}");
    let frames = self::frames(&text);
    let fits =
        |frame: &[String]| frame.len() <= 9 && frame.iter().all(|line| line.chars().count() <= 30);
    assert!(frames[0].iter().any(|line| line.chars().count() > 30), "{:#?}", frames[0]);
    assert!(fits(frames.last().unwrap()), "{:#?}", frames.last());
}

#[test]
fn a_second_interrupt_and_an_error_leave_the_terminal_as_it_was() {
    let place = Place::new();
    table(&place);
    let train = "wgrad train t.csv --target y --device cpu --view --no-report --force";
    // Steps that take long, so that the second request comes before the first is heeded.
    let slow = format!("{train} --hidden 512,512 --batch-size 200 --epochs 10000 --out r");
    let mut terminal = Terminal::run(&place, &slow);
    terminal.until(ENTER, 1);
    terminal.press(b"\x03");
    thread::sleep(Duration::from_millis(300));
    terminal.press(b"\x03");
    let (code, text) = terminal.end();
    assert_eq!(code, 130, "{text}");
    let (_, after) = around(&text);
    assert!(
        after.contains("the steps under way are dropped") || after.contains("interrupted"),
        "{after:?}"
    );
    let (code, text) =
        Terminal::run(&place, &format!("{train} --lr 1e30 --optimizer sgd --epochs 50 --out d"))
            .end();
    assert_eq!(code, 1, "{text}");
    let (_, after) = around(&text);
    assert!(after.contains("error: "), "{after:?}");
}

#[test]
fn several_networks_have_a_line_each() {
    let place = Place::new();
    table(&place);
    place.write("s.toml", "lr = [1e-3, 1e-2]\n");
    let rest = "t.csv --target y --hidden 8 --epochs 60 --device cpu --view --no-report";
    for (command, names) in [
        (
            format!("wgrad train {rest} --members 3 --out m"),
            ["member 0", "member 2", "/3 members done"],
        ),
        (format!("wgrad train {rest} --folds 3 --out f"), ["fold 0", "fold 2", "/3 folds done"]),
        (
            format!("wgrad sweep {rest} --config s.toml --search grid --out w"),
            ["trial 0", "trial 1", "/2 trials done"],
        ),
    ] {
        let (code, text) = Terminal::run(&place, &format!("stty rows 24 cols 80; {command}")).end();
        assert_eq!(code, 0, "{text}");
        let (_, after) = around(&text);
        assert!(after.contains(names[0]) && after.contains(names[1]), "{after:?}");
        let frames = frames(&text);
        let last = frames.last().unwrap().join("\n");
        assert!(names.iter().all(|name| last.contains(name)), "{last}");
        assert!(frames.iter().flatten().all(|line| line.chars().count() <= 80));
    }
}

#[test]
fn without_a_terminal_the_lines_are_the_ordinary_ones() {
    let place = Place::new();
    table(&place);
    let train = "train t.csv --target y --hidden 8 --epochs 2 --no-report --seed 1";
    let (_, plain) = place.ok(&format!("{train} --out a"));
    let (_, viewed) = place.ok(&format!("{train} --out b --view"));
    let epochs = |text: &str| text.lines().filter(|line| line.starts_with("epoch ")).count();
    assert_eq!(epochs(&viewed), epochs(&plain));
    assert_eq!(viewed.matches("standard error is no terminal").count(), 1, "{viewed}");
    assert!(!viewed.contains('\x1b'), "{viewed}");
    let (code, text) =
        Terminal::run(&place, &format!("TERM=dumb wgrad {train} --view --device cpu --out c"))
            .end();
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("TERM=dumb") && !text.contains(ENTER), "{text:?}");
    assert!(
        place.refused(&format!("{train} --out d --view --quiet")).contains("cannot be used with")
    );
}
