//! What pdb prints, told from what the program in its process prints.

use crate::backends::dialect::Own;

/// Patterns over bytes. ipdb colours its headers.
pub(super) const OWN: Own = Own {
    stop: concat!(
        r"(?-u)> (?:\x1b\[[0-9;]*m)*(?:<[^<>\n]*>|/[^\n]*?)(?:\x1b\[[0-9;]*m)*\((?:\x1b\[[0-9;]*m)*(?:\d+|None)(?:\x1b\[[0-9;]*m)*\)(?:\x1b\[[0-9;]*m)*",
        r"[^\s()]+\((?:\x1b\[[0-9;]*m)*\)(?:\x1b\[[0-9;]*m)*(?:->[^\n]*)?(?:\n(?:\x1b\[[0-9;]*m)*(?:-> |-+>|\s+\d)|\n?\z)",
    ),
    before: concat!(
        r"(?-u)(?:\A|\n)(?:(?:--Call--|--Return--|Deleted breakpoint [^\n]*|\n?Program interrupted\. [^\n]*",
        r"|The program (?:finished|exited) [^\n]*|Post mortem debugger finished\. [^\n]*|Restarting [^\n]* with arguments:\n[^\n]*",
        r"|Uncaught exception\. [^\n]*|Running 'cont' or 'step' [^\n]*|Internal [^\n]*|\*\*\* [^\n]*",
        r"|[A-Za-z_][\w.]*(?:Error|Exception|Exit|Interrupt|Iteration|Warning|Group|Quit|Fault|Failure)(?:: [^\n]*(?:\n[^\n]+){0,8}?)?",
        r")\n)+\z",
    ),
    prompt: r"(?-u)(?:\(+Pdb(?:\+\+)?\)+ |ipdb> |\(com\) |>>> |\.\.\. +|Clear all breaks\? )\z",
};

#[cfg(test)]
mod tests {
    use regex::bytes::Regex;

    use super::*;

    fn begins(pattern: &str, text: &str) -> Option<usize> {
        Regex::new(pattern).expect("a constant pattern").find(text.as_bytes()).map(|found| found.start())
    }

    #[test]
    fn stops() {
        let stop = |text| begins(OWN.stop, text);
        assert_eq!(stop("> /a/b.py(3)f()\n-> x = 1"), Some(0));
        assert_eq!(stop("> /a b/é.py(3)<module>()\n-> x = 1\n"), Some(0));
        assert_eq!(stop("abc> /a.py(3)f()->'> /x(1)g()'\n-> x"), Some(3));
        assert_eq!(stop("> <string>(1)<module>()->None"), Some(0));
        assert_eq!(stop("> /a.py(None)f()\n"), Some(0));
        // ipdb
        let coloured = "> \x1b[32m/a.py\x1b[39m(\x1b[92m1\x1b[39m)\x1b[36m<module>\x1b[39m\x1b[34m()\x1b[39m\n\x1b[32m----> 1\x1b[39m x";
        assert_eq!(stop(coloured), Some(0));
        assert_eq!(stop("> /a.py(2)f()\n      1 a = 1\n----> 2 b = 1\n"), Some(0));
        assert_eq!(stop("> /a.py(3)f() is where\n"), None);
        assert_eq!(stop("one > two\n"), None);
        assert_eq!(stop("-> x = 1\n"), None);
    }

    #[test]
    fn lines_before_a_stop() {
        let before = |text| begins(OWN.before, text);
        assert_eq!(before("--Return--\n"), Some(0));
        assert_eq!(before("one\n--Call--\n"), Some(3));
        assert_eq!(before("one\nValueError: 3\n"), Some(3));
        assert_eq!(before("one\nKeyError\n"), Some(3));
        assert_eq!(before("one\na.b.MyError: first\nsecond\n"), Some(3));
        assert_eq!(before("one\n\nProgram interrupted. (Use 'cont' to resume).\n--Call--\n"), Some(3));
        let dead = "one\nUncaught exception. Entering post mortem debugging\nRunning 'cont' or 'step' will restart the program\n";
        assert_eq!(before(dead), Some(3));
        assert_eq!(before("one\nThe program finished and will be restarted\n"), Some(3));
        assert_eq!(before("one\n*** Jump failed: no\n"), Some(3));
        assert_eq!(before("--Return--\none\n"), None);
        assert_eq!(before("Total: 3\n"), None);
    }

    #[test]
    fn prompts() {
        let prompt = |text| begins(OWN.prompt, text);
        assert_eq!(prompt("(Pdb) "), Some(0));
        assert_eq!(prompt("x\n((Pdb)) "), Some(2));
        assert_eq!(prompt("ipdb> "), Some(0));
        assert_eq!(prompt("name? "), None);
    }
}
