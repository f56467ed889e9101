//! Feeds random text to the three readers for a stated time: `fuzz_loop SECONDS [SEED]`. It ends with a panic, and
//! the input, if one of them panics. The targets in `fuzz/` do the same with coverage, on a nightly compiler.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use fulmen_configuration::interpolation::{Resolvers, resolve};
use fulmen_configuration::overrides::Override;
use fulmen_configuration::yaml;

const PIECES: [&str; 64] = [
    "a",
    "b",
    "key",
    ": ",
    ":",
    "- ",
    "\n",
    "  ",
    "\n  ",
    "\n- ",
    "[",
    "]",
    "{",
    "}",
    ",",
    ", ",
    "'",
    "\"",
    "\\",
    "${",
    "$",
    "}",
    ".",
    "..",
    "=",
    "+",
    "~",
    "@",
    "/",
    "#",
    " #",
    "&x ",
    "*x",
    "<<: *x",
    "!!int ",
    "!!str",
    "|",
    ">",
    "|-\n ",
    "???",
    "?",
    "? ",
    "%",
    "---\n",
    "...\n",
    "\t",
    "1",
    "0x1",
    "1e3",
    ".5",
    "-",
    "_",
    "null",
    "true",
    "inf",
    "oc.env:",
    "oc.select:",
    "oc.decode:",
    "oc.create:",
    "oc.dict.values:",
    "range(",
    "choice(",
    ")",
    "é",
];

/// A generator of random numbers (xorshift64*), so that a seed tells the inputs.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % bound
    }

    fn text(&mut self) -> String {
        let length = [4, 12, 40, 400][self.below(4)];
        let mut text = String::new();
        let mut piece = PIECES[self.below(PIECES.len())];
        for _ in 0..self.below(length) {
            // Runs of one piece make nesting deep.
            if self.below(3) > 0 {
                piece = PIECES[self.below(PIECES.len())];
            }
            text.push_str(piece);
        }
        text
    }
}

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1).filter_map(|argument| argument.parse::<u64>().ok());
    let seconds = arguments.next().unwrap_or(10);
    let mut random = Random(arguments.next().unwrap_or(7).max(1));
    let end = Instant::now() + Duration::from_secs(seconds);
    let (mut inputs, mut accepted) = (0u64, [0u64; 3]);
    while Instant::now() < end {
        for _ in 0..1000 {
            let text = random.text();
            let outcome = std::panic::catch_unwind(|| read(&text));
            let Ok(ok) = outcome else {
                writeln!(io::stderr(), "panic at {text:?}")?;
                std::process::exit(1);
            };
            accepted.iter_mut().zip(ok).for_each(|(count, ok)| *count += u64::from(ok));
            inputs += 1;
        }
    }
    let [overrides, files, interpolations] = accepted;
    writeln!(
        io::stdout(),
        "{inputs} inputs, no panic; read as an override {overrides}, as YAML {files}, as an interpolation {interpolations}"
    )
}

/// Which of the three readers took the text.
fn read(text: &str) -> [bool; 3] {
    let file = "<fuzz>".into();
    let override_ok = Override::parse(text).is_ok() | Override::parse(&format!("a={text}")).is_ok();
    let root = yaml::load(text, &file);
    if let Ok(root) = &root {
        let resolved = resolve(root, &Resolvers::default());
        let _ = resolved.map(|resolved| yaml::to_yaml(&resolved));
    }
    let quoted = format!("a: {{x: 1}}\nb: [1, 2]\nc: '{}'\n", text.replace('\'', "''"));
    let interpolated = yaml::load(&quoted, &file).and_then(|root| resolve(&root, &Resolvers::default()));
    [override_ok, root.is_ok(), interpolated.is_ok()]
}
