//! stub
#![allow(missing_docs)]
use std::path::PathBuf;
pub struct Registers {
    pub pc: u64,
    pub general: [u64; 16],
}
pub enum Rule {
    StackPointer(i64),
    BasePointer(i64),
}
pub struct UnwoundFrame {
    pub pc: u64,
    pub cfa: u64,
    pub function: Option<String>,
}
pub struct Function;
pub struct Statement {
    pub address: u64,
    pub file: PathBuf,
    pub line: u32,
}
#[derive(Default)]
pub struct Symbols;
impl Symbols {
    pub fn new() -> Self {
        Symbols
    }
    pub fn set_maps(&mut self, _: &str) {}
    pub fn unwind(&mut self, _: &Registers, _: &mut dyn FnMut(u64, &mut [u8]) -> bool, _: usize) -> Vec<UnwoundFrame> {
        Vec::new()
    }
    pub fn has_lines(&mut self, _: u64) -> bool {
        false
    }
    pub fn function_at(&mut self, _: u64) -> Option<Function> {
        None
    }
    pub fn statements(&mut self, _: &Function) -> Vec<Statement> {
        Vec::new()
    }
    pub fn frame_rule(&mut self, _: u64) -> Option<Rule> {
        None
    }
    pub fn main_statement(&mut self) -> Option<u64> {
        None
    }
}
