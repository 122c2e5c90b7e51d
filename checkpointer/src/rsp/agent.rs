//! Agent expressions: conditions of breakpoints in gdb's bytecode, which the debugger sends along so that a breakpoint whose
//! condition does not hold costs no more than its trap. GDB manual, appendix "The GDB Agent Expression Mechanism". What cannot
//! be computed here is an error, and then the debugger is told of the stop: it judges every condition once more itself.

/// The longest expression that is taken, in bytes.
const LONGEST: usize = 4096;

/// Values on the stack at most.
const DEEPEST: usize = 256;

/// Operations after which an expression is taken not to end.
const MOST: u32 = 100_000;

/// What an expression is about.
pub trait Inferior {
    /// The value of a register, by its number in the target description.
    fn register(&mut self, number: u16) -> Option<u64>;

    /// Reads memory; true if all of it could be read.
    fn read(&mut self, address: u64, buffer: &mut [u8]) -> bool;
}

/// An expression could not be computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotComputed;

/// The expressions of a `Z` packet's `X` parts: `XLENGTH,HEX` one after the other; `None` if it is malformed.
pub fn conditions(mut text: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut found = Vec::new();
    while let Some(rest) = text.strip_prefix(b"X") {
        let comma = rest.iter().position(|byte| *byte == b',')?;
        let length = usize::try_from(super::packet::number(&rest[..comma])?).ok()?;
        if length > LONGEST {
            return None;
        }
        let hex = rest.get(comma + 1..comma + 1 + length * 2)?;
        found.push(super::packet::unhex(hex)?);
        text = &rest[comma + 1 + length * 2..];
    }
    text.is_empty().then_some(found)
}

struct Stack(Vec<u64>);

impl Stack {
    fn push(&mut self, value: u64) -> Result<(), NotComputed> {
        if self.0.len() == DEEPEST {
            return Err(NotComputed);
        }
        self.0.push(value);
        Ok(())
    }

    fn pop(&mut self) -> Result<u64, NotComputed> {
        self.0.pop().ok_or(NotComputed)
    }

    /// Puts in the place of the two uppermost values (the lower one first) what becomes of them.
    fn combine(&mut self, with: impl FnOnce(u64, u64) -> Option<u64>) -> Result<(), NotComputed> {
        let (upper, lower) = (self.pop()?, self.pop()?);
        self.push(with(lower, upper).ok_or(NotComputed)?)
    }
}

/// The low `bits` of a value, with its sign or with zeros.
fn extended(value: u64, bits: u8, signed: bool) -> Option<u64> {
    let unused = 64u32.checked_sub(u32::from(bits)).filter(|unused| *unused < 64)?;
    #[allow(clippy::cast_possible_wrap, clippy::cast_sign_loss)]
    Some(if signed { ((value << unused) as i64 >> unused) as u64 } else { value << unused >> unused })
}

/// Computes an expression.
///
/// # Errors
/// [`NotComputed`]: it is malformed, does not end, divides by zero, reads memory that is not there, or does what only tracing
/// agents do.
pub fn evaluate(code: &[u8], inferior: &mut dyn Inferior) -> Result<u64, NotComputed> {
    let mut stack = Stack(Vec::new());
    let mut at = 0usize;
    for _ in 0..MOST {
        let operation = *code.get(at).ok_or(NotComputed)?;
        let mut operand = |bytes: usize| {
            let found = code.get(at + 1..at + 1 + bytes).ok_or(NotComputed)?;
            at += bytes;
            Ok(found.iter().fold(0u64, |value, byte| value << 8 | u64::from(*byte)))
        };
        #[allow(clippy::cast_possible_wrap, clippy::cast_sign_loss, clippy::cast_possible_truncation)]
        match operation {
            0x02 => stack.combine(|a, b| Some(a.wrapping_add(b)))?,
            0x03 => stack.combine(|a, b| Some(a.wrapping_sub(b)))?,
            0x04 => stack.combine(|a, b| Some(a.wrapping_mul(b)))?,
            0x05 => stack.combine(|a, b| (a as i64).checked_div(b as i64).map(|value| value as u64))?,
            0x06 => stack.combine(u64::checked_div)?,
            0x07 => stack.combine(|a, b| (a as i64).checked_rem(b as i64).map(|value| value as u64))?,
            0x08 => stack.combine(u64::checked_rem)?,
            0x09 => stack.combine(|a, b| Some(a.checked_shl(u32::try_from(b).ok()?).unwrap_or(0)))?,
            0x0a => stack.combine(|a, b| Some((a as i64 >> b.min(63)) as u64))?,
            0x0b => stack.combine(|a, b| Some(a.checked_shr(u32::try_from(b).ok()?).unwrap_or(0)))?,
            0x0e => {
                let value = stack.pop()?;
                stack.push(u64::from(value == 0))?;
            }
            0x0f => stack.combine(|a, b| Some(a & b))?,
            0x10 => stack.combine(|a, b| Some(a | b))?,
            0x11 => stack.combine(|a, b| Some(a ^ b))?,
            0x12 => {
                let value = stack.pop()?;
                stack.push(!value)?;
            }
            0x13 => stack.combine(|a, b| Some(u64::from(a == b)))?,
            0x14 => stack.combine(|a, b| Some(u64::from((a as i64) < b as i64)))?,
            0x15 => stack.combine(|a, b| Some(u64::from(a < b)))?,
            0x16 | 0x2a => {
                let bits = operand(1)? as u8;
                let value = stack.pop()?;
                stack.push(extended(value, bits, operation == 0x16).ok_or(NotComputed)?)?;
            }
            0x17..=0x1a => {
                let mut bytes = [0u8; 8];
                let length = 1usize << (operation - 0x17);
                let address = stack.pop()?;
                if !inferior.read(address, &mut bytes[..length]) {
                    return Err(NotComputed);
                }
                stack.push(u64::from_le_bytes(bytes))?;
            }
            0x20 | 0x21 => {
                let to = operand(2)? as usize;
                if operation == 0x21 || stack.pop()? != 0 {
                    at = to;
                    continue;
                }
            }
            0x22..=0x25 => {
                let value = operand(1 << (operation - 0x22))?;
                stack.push(value)?;
            }
            0x26 => {
                let number = operand(2)? as u16;
                stack.push(inferior.register(number).ok_or(NotComputed)?)?;
            }
            0x27 => return stack.pop(),
            0x28 => {
                let value = stack.pop()?;
                stack.push(value)?;
                stack.push(value)?;
            }
            0x29 => {
                stack.pop()?;
            }
            0x2b => {
                let (upper, lower) = (stack.pop()?, stack.pop()?);
                stack.push(upper)?;
                stack.push(lower)?;
            }
            0x32 => {
                let depth = operand(1)? as usize;
                let index = stack.0.len().checked_sub(depth + 1).ok_or(NotComputed)?;
                stack.push(stack.0[index])?;
            }
            0x33 => {
                let (a, b, c) = (stack.pop()?, stack.pop()?, stack.pop()?);
                stack.push(a)?;
                stack.push(c)?;
                stack.push(b)?;
            }
            _ => return Err(NotComputed),
        }
        at += 1;
    }
    Err(NotComputed)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Made;

    impl Inferior for Made {
        fn register(&mut self, number: u16) -> Option<u64> {
            (number == 6).then_some(0x1000)
        }

        fn read(&mut self, address: u64, buffer: &mut [u8]) -> bool {
            let memory = 0xffff_fffb_u32.to_le_bytes();
            let from = address.wrapping_sub(0xffc) as usize;
            match memory.get(from..from + buffer.len()) {
                Some(bytes) => {
                    buffer.copy_from_slice(bytes);
                    true
                }
                None => false,
            }
        }
    }

    #[test]
    fn a_local_variable_is_compared_with_its_sign() {
        // What gdb 13 makes of `i < 3` for an int at rbp - 4, which is 20 below the frame's address (`maint agent-eval i < 3`).
        let code = [0x26, 0, 6, 0x22, 16, 0x02, 0x22, 236, 0x16, 8, 0x02, 0x19, 0x16, 32, 0x22, 3, 0x14, 0x27];
        assert_eq!(evaluate(&code, &mut Made), Ok(1));
    }

    #[test]
    fn what_does_not_end_or_is_not_there_is_an_error() {
        for code in [&[0x21, 0, 0][..], &[0x02, 0x27], &[0x22, 0, 0x17, 0x27], &[0x22, 1, 0x22, 0, 0x05, 0x27], &[0x01]]
        {
            assert_eq!(evaluate(code, &mut Made), Err(NotComputed), "{code:x?}");
        }
    }

    #[test]
    fn conditions_follow_each_other() {
        assert_eq!(conditions(b"X2,2201X1,27"), Some(vec![vec![0x22, 1], vec![0x27]]));
        assert_eq!(conditions(b"X2,22"), None);
        assert_eq!(conditions(b"Xffffffffffffffff,22"), None);
    }
}
