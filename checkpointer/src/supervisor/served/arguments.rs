//! The arguments of a program as the user typed them. gdb takes the quotes off before it sends them, so that of `run 'a b' > x`
//! and `run a b > x` the same words arrive; but the program is started by a shell, which is to see what was typed. So the client
//! tells what may have been typed, and what reads as the words that arrived is taken.

use super::Supervisor;

/// Lines that are kept, the newest.
const MOST: usize = 64;

impl Supervisor {
    /// Notes arguments as they were typed.
    pub(in crate::supervisor) fn note_arguments(&mut self, typed: Vec<u8>) {
        self.typed_arguments.retain(|known| *known != typed);
        if self.typed_arguments.len() >= MOST {
            self.typed_arguments.remove(0);
        }
        self.typed_arguments.push(typed);
    }

    /// Arguments for the shell.
    pub(super) fn as_typed(&self, words: &[Vec<u8>]) -> Vec<u8> {
        let typed = self.typed_arguments.iter().rev().find(|typed| split(typed) == words);
        typed.cloned().unwrap_or_else(|| words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(&b' '))
    }
}

/// Words as gdb makes them (libiberty's `buildargv`): a backslash takes away the meaning of what follows, in quotes too.
fn split(line: &[u8]) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let (mut quote, mut escaped) = (None, false);
    for &byte in line {
        if byte.is_ascii_whitespace() && quote.is_none() && !escaped {
            words.extend(word.take());
            continue;
        }
        let word = word.get_or_insert_default();
        match byte {
            _ if escaped => {
                word.push(byte);
                escaped = false;
            }
            b'\\' => escaped = true,
            _ if quote == Some(byte) => quote = None,
            b'\'' | b'"' if quote.is_none() => quote = Some(byte),
            _ => word.push(byte),
        }
    }
    words.extend(word);
    words
}

/// A word of which nobody knows how it was typed. What holds a space was in quotes; anything else is left to the shell.
fn quoted(word: &[u8]) -> Vec<u8> {
    let telling = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'\'' | b'"' | b'\\');
    if !word.is_empty() && !word.iter().any(telling) {
        return word.to_vec();
    }
    let mut quoted = vec![b'"'];
    for &byte in word {
        if matches!(byte, b'"' | b'\\' | b'`') {
            quoted.push(b'\\');
        }
        quoted.push(byte);
    }
    quoted.push(b'"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_gdbs() {
        let words = |line: &str| split(line.as_bytes()).into_iter().map(|word| String::from_utf8(word).unwrap());
        let read = |line: &str| words(line).collect::<Vec<_>>();
        assert_eq!(read(r#"one 'two words' "three $X" *.c < in"#), ["one", "two words", "three $X", "*.c", "<", "in"]);
        assert_eq!(read(r#" a\ b '' "x'y" c"d"e "#), ["a b", "", "x'y", "cde"]);
        assert_eq!(read(""), Vec::<String>::new());
    }

    #[test]
    fn what_nobody_typed_still_reaches_the_program_in_one_piece() {
        let back = |word: &str| String::from_utf8(quoted(word.as_bytes())).unwrap();
        assert_eq!(
            (back("two words").as_str(), back("").as_str(), back("*.c").as_str()),
            ("\"two words\"", "\"\"", "*.c")
        );
        assert_eq!(back("it's \"so\""), r#""it's \"so\"""#);
    }
}
