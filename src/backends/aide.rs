//! What is asked of a served debugger in a machine format, on an interface of its own beside the user's prompt. What the
//! user sees is never read for facts where there is such an interface.

use std::path::Path;

use crate::history::entry::Stop;

/// A question, or a command that the user does not see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// The value of an expression in a frame, the innermost being 0.
    Evaluate {
        /// As the user wrote it.
        expression: String,
        /// Where.
        frame: u32,
    },
    /// The innermost frames, at most so many.
    Frames {
        /// How many.
        most: u32,
    },
    /// How many frames there are.
    Depth,
    /// Which frame the user has selected.
    Selected,
    /// Names of the variables and arguments of a frame, of all its blocks.
    Names {
        /// Where.
        frame: u32,
    },
    /// Step a line.
    Step,
    /// Step an instruction.
    StepInstruction,
    /// Run until the innermost frame has returned.
    Finish,
    /// Run to the next breakpoint.
    Continue,
    /// Breakpoints.
    Breakpoints,
    /// Which program it is looking at.
    Program,
    /// The text of its prompt.
    Prompt,
    /// Folders with separate debugging information, as the debugger looks for it, colons between.
    DebugFolders,
    /// Which threads it lets go with a step: the word of its setting.
    Locking,
    /// What could stand in the place of a line's last word: whole words.
    Complete(String),
    /// A command of the debugger, whose output is the answer.
    Tell(String),
    /// Gives a breakpoint other commands.
    Commands {
        /// The breakpoint's number.
        number: String,
        /// A line each.
        lines: Vec<String>,
    },
    /// Where the program has stopped since it was last asked or moved, if it has.
    Fresh,
}

/// A frame as the debugger sees it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FrameFact {
    /// The innermost is 0.
    pub level: u32,
    /// The instruction pointer.
    pub pc: u64,
    /// Function, if it knows one.
    pub function: Option<String>,
    /// Absolute path of the source.
    pub file: Option<String>,
    /// Line, from 1.
    pub line: Option<u32>,
}

/// A breakpoint.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BreakpointFact {
    /// Its number, as text.
    pub number: String,
    /// It is a plain one, of software or hardware, of an instruction: no watchpoint, catchpoint or dprintf.
    pub plain: bool,
    /// It stops when a value changes, or is looked at.
    pub watches: bool,
    /// Whether it stops.
    pub enabled: bool,
    /// Where its enabled locations are.
    pub addresses: Vec<u64>,
    /// Whether not every hit is a stop for a reason that the debugger must judge: a condition, a thread to which it belongs.
    pub conditional: bool,
    /// The condition.
    pub condition: Option<String>,
    /// How many of the next hits it ignores.
    pub ignored: u64,
    /// It is deleted or put out of force when it has stopped.
    pub once: bool,
    /// What the debugger is to do when it has stopped.
    pub commands: Vec<String>,
    /// That ends in going on, so the user sees no stop there.
    pub goes_on: bool,
}

/// What was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// A value or another text.
    Text(String),
    /// Frames, innermost first.
    Frames(Vec<FrameFact>),
    /// A number.
    Number(u32),
    /// Names.
    Names(Vec<String>),
    /// Where a movement has led, and what the user's prompt would have shown of it.
    Went {
        /// `None` if the program is gone without a stop.
        stop: Option<Stop>,
        /// The text.
        shown: String,
    },
    /// Breakpoints.
    Breakpoints(Vec<BreakpointFact>),
    /// The executable, and the process that runs.
    Program {
        /// Absolute path.
        executable: Option<String>,
        /// The id that the program knows.
        process: Option<i32>,
    },
    /// It could not be done, and this is what the debugger said.
    Refused(String),
}

/// How a debugger is asked. One question at a time.
pub trait Aide: Send {
    /// The line to write, without the newline.
    fn write(&mut self, question: &Question) -> String;

    /// The answer in what has been printed on the interface since the question; `None` if it is not complete.
    fn answer(&self, question: &Question, text: &str) -> Option<Answer>;

    /// The last stop that was told on the interface without being asked for; the end of the program is one.
    fn stop(&self, text: &str) -> Option<Stop>;

    /// Whether the program was let go at all.
    fn moved(&self, text: &str) -> bool;

    /// What makes a copy of the debugger fit for a search: nothing of the user's stops or prints any more.
    fn quiet(&self) -> Vec<Question>;

    /// What has the breakpoints of a copy stop at every hit that their conditions let through, and those that go on at none: a
    /// search goes over them forwards, and what they ignore and what becomes of them goes by their hits backwards.
    fn judging(&self, breakpoints: &[BreakpointFact]) -> Vec<Question>;

    /// Takes a breakpoint out of force that was made fit by [`Aide::judging`].
    fn forget(&self, breakpoint: &BreakpointFact) -> Vec<Question>;

    /// Says by a word of that setting which threads are let go with a step, or all with no word; `None` where there is no such setting.
    fn lock(&self, _how: Option<&str>) -> Option<Question> {
        None
    }

    /// Says how many hits a breakpoint ignores from now on.
    fn ignore(&self, number: &str, hits: u64) -> Question;

    /// Whether an exchanged program that stands at a breakpoint has hit it for the debugger, which counts that, has breakpoints
    /// go that stop once, and does what is to be done at them.
    fn hits_by_landing(&self) -> bool {
        true
    }

    /// Takes a breakpoint away that stops once, when it has.
    fn delete_breakpoint(&self, number: &str) -> Question {
        Question::Tell(format!("delete {number}"))
    }

    /// Tells the server which program is to be started; `None` if the debugger does so itself.
    fn name_program(&self, executable: &str) -> Option<Question>;

    /// Whether the interface has shown that it is there, once the debugger has prompted.
    fn is_there(&self, text: &str) -> bool {
        let _ = text;
        true
    }

    /// It is not there, though it was expected to be: whether the debugger can do without it from now on ([`Aide::opening`]).
    fn do_without(&mut self) -> bool {
        false
    }

    /// The line to type at the prompt that opens the interface on a terminal, where that has not been done. No trace of it is left.
    fn opening(&self, channel: &Path) -> String {
        let _ = channel;
        String::new()
    }

    /// The line to type at the prompt that ends the interface again; `None` if it stays open. It can be opened once more.
    fn closing(&self) -> Option<String> {
        None
    }

    /// The line to type at the prompt that asks a question while the interface is not open; `None` if it must be opened.
    fn at_prompt(&mut self, question: &Question) -> Option<String> {
        let _ = question;
        None
    }

    /// Whether questions are read by a thread of their own, which waits for nothing else: then nobody else need be let go for one.
    fn listens_apart(&self) -> bool {
        false
    }

    /// Whether a step that returns from a call always stops in the caller, and one over lines at every row of the line table. Otherwise it
    /// goes on from the middle of a line.
    fn stops_after_return(&self) -> bool {
        false
    }

    /// What is to be asked when the debugger prompts again after a line of the user's, if it does not tell of stops by itself.
    fn after_line(&self) -> Option<Question> {
        None
    }

    /// What is asked to learn the arguments that the program would be started with; `None` where they come as typed anyway.
    fn ask_arguments(&self) -> Option<Question> {
        None
    }

    /// These arguments, as typed, in the text of the answer.
    fn arguments(&self, text: &str) -> Option<String> {
        let _ = text;
        None
    }

    /// Asks for the debugger's number of a thread, by the id that the program knows; `None` if it need not be told which thread
    /// to look at.
    fn find_thread(&self, _id: i32) -> Option<Question> {
        None
    }

    /// The number in the answer.
    fn found_thread(&self, _id: i32, _text: &str) -> Option<u32> {
        None
    }

    /// Asks which thread it looks at; `None` if that need not be known.
    fn selected_thread(&self) -> Option<Question> {
        None
    }

    /// The id in the answer, as the program knows it.
    fn thread_id(&self, _text: &str) -> Option<i32> {
        None
    }

    /// Has it look at a thread, by its number.
    fn select_thread(&self, number: u32) -> Question;

    /// Takes breakpoints out of force, or puts them back, by their numbers.
    fn switch_breakpoints(&self, numbers: &[String], on: bool) -> Vec<Question>;

    /// What is to be said once when the program was exchanged under these breakpoints, which were out of force meanwhile: a debugger that
    /// goes on comparing watched values with those of where the user came from.
    fn remembers(&self, _held: &[String]) -> Option<&'static str> {
        None
    }

    /// Shows the innermost frame, whichever is selected.
    fn show_place(&self) -> Question;

    /// What makes it look at a program that has been exchanged.
    fn look_again(&self) -> Vec<Question>;
}
