//! Programs that are put together from operations with effects: straight on, in loops, in functions and in recursion.

use std::fmt::Write;

/// Numbers that look random and are the same each time (xorshift).
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below another one.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap_or(0) % limit
    }

    pub fn one_of<'w>(&mut self, words: &[&'w str]) -> &'w str {
        words[self.below(words.len())]
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

/// A language that there are operations in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Language {
    C,
    Python,
}

const C: [&str; 4] =
    [include_str!("c/common.h"), include_str!("c/files.c"), include_str!("c/sockets.c"), include_str!("c/children.c")];
const PYTHON: &str = include_str!("operations.py");

/// How many operations a program has.
const LENGTH: usize = 9;

/// A program that was put together.
pub struct Program {
    pub text: String,
    /// Its operations, in the order in which they are first met.
    pub operations: Vec<String>,
    /// Where its last statement is.
    pub last_line: usize,
}

impl Language {
    fn operations(self) -> Vec<&'static str> {
        let (text, begin) = match self {
            Language::C => (&C[..], "static long op_"),
            Language::Python => (&[PYTHON][..], "def op_"),
        };
        let lines = text.iter().flat_map(|part| part.lines());
        lines.filter_map(|line| line.strip_prefix(begin)?.split_once("(").map(|(name, _)| name)).collect()
    }

    /// How many programs it takes until each operation was in one.
    pub fn programs(self) -> usize {
        self.operations().len().div_ceil(LENGTH)
    }

    /// The `number`-th program: of `programs` in a row each operation is in one, or in two.
    pub fn program(self, number: usize) -> Program {
        let mut deck = self.operations();
        let (round, place) = (number / self.programs(), number % self.programs());
        let seed = round as u64 * 2 + u64::from(self == Language::C);
        Dice::new(seed + 77).shuffle(&mut deck);
        let chosen: Vec<&str> = deck.iter().cycle().skip(place * LENGTH).take(LENGTH).copied().collect();
        Writer { language: self, dice: Dice::new(number as u64 + 1000), functions: String::new(), count: 0 }
            .write(&chosen)
    }
}

struct Writer {
    language: Language,
    dice: Dice,
    functions: String,
    /// Operations are numbered in the order of their execution.
    count: usize,
}

impl Writer {
    fn write(mut self, operations: &[&str]) -> Program {
        let (mut body, mut rest) = (String::new(), operations);
        while !rest.is_empty() {
            let (now, later) = rest.split_at((1 + self.dice.below(2)).min(rest.len()));
            self.part(now, &mut body);
            rest = later;
        }
        let text = match self.language {
            Language::C => {
                let functions = &self.functions;
                format!("{}\n{functions}int main(void)\n{{\n    long r;\n{body}    return 0;\n}}\n", C.concat())
            }
            Language::Python => {
                // The interpreter's own end reads and closes what belongs to the debugger.
                format!("{PYTHON}\n\n{}def main():\n{body}    return 0\n\n\nmain()\nos._exit(0)\n", self.functions)
            }
        };
        let last_line = text.lines().count() - usize::from(self.language == Language::C);
        let operations = operations.iter().map(|name| (*name).to_owned()).collect();
        Program { text, operations, last_line }
    }

    /// One or two operations, in some shape.
    fn part(&mut self, operations: &[&str], body: &mut String) {
        let (first, times) = (self.count, operations.len());
        match self.dice.below(4) {
            0 | 1 => {
                for (at, operation) in operations.iter().enumerate() {
                    self.operation(operation, &(first + at).to_string(), 1, body);
                }
                self.count += times;
            }
            2 => {
                let until = first + 2 * times;
                let head = match self.language {
                    Language::C => format!("    for (int k = {first}; k < {until}; k += {times}) {{\n"),
                    Language::Python => format!("    for k in range({first}, {until}, {times}):\n"),
                };
                body.push_str(&head);
                for (at, operation) in operations.iter().enumerate() {
                    self.operation(operation, &format!("k + {at}"), 2, body);
                }
                if self.language == Language::C {
                    body.push_str("    }\n");
                }
                self.count = until;
            }
            _ => {
                // Goes down twice, and does one thing on its way down and the other on its way back.
                let name = format!("down{first}");
                let mut inner = String::new();
                self.operation(operations[0], "k", 1, &mut inner);
                let call = match self.language {
                    Language::C => format!("    if (deep)\n        {name}(k + 1, deep - 1);\n"),
                    Language::Python => format!("    if deep:\n        {name}(k + 1, deep - 1)\n"),
                };
                inner.push_str(&call);
                if let Some(operation) = operations.get(1) {
                    self.operation(operation, "k + 10 - 8 * deep", 1, &mut inner);
                }
                let function = match self.language {
                    Language::C => format!("static void {name}(int k, int deep)\n{{\n    long r;\n{inner}}}\n\n"),
                    Language::Python => format!("def {name}(k, deep):\n{inner}\n\n"),
                };
                self.functions.push_str(&function);
                let end = if self.language == Language::C { ";" } else { "" };
                let _ = writeln!(body, "    {name}({first}, 1){end}");
                self.count = first + 12;
            }
        }
    }

    /// A call, and a line that tells of it.
    fn operation(&mut self, name: &str, number: &str, indent: usize, body: &mut String) {
        let margin = "    ".repeat(indent);
        let (end, quote) = if self.language == Language::C { (";", '"') } else { ("", '\'') };
        let _ = writeln!(body, "{margin}r = op_{name}({number}){end}");
        let _ = writeln!(body, "{margin}is_over({number}, {quote}{name}{quote}, r){end}");
    }
}
