//! Going back in loops that go round millions of times: what is found is compared with what the program must have computed.

mod native;

use native::{Sample, is_done, place, said};
use serde_json::Value;

fn gdb(sample: &Sample, lines: &[&str]) -> Vec<Value> {
    let lines: Vec<&str> = ["set debug-file-directory /none"].into_iter().chain(lines.iter().copied()).collect();
    sample.fred(&["gdb", "-q", "-nx"], &lines)
}

const ROUNDS: u64 = 5_000;

/// The values that the variable of `VOLATILE` has had last, the newest last.
fn last_states() -> [u64; 3] {
    let mut state = 1u64;
    let mut last = [0; 3];
    for _ in 0..ROUNDS {
        for (value, shifted) in [(0, state << 13), (1, 0), (2, 0)] {
            let shifted = match value {
                0 => shifted,
                1 => state >> 7,
                _ => state << 17,
            };
            state ^= shifted;
            last[value] = state;
        }
    }
    last
}

const VOLATILE: &str = "\
unsigned long state = 1;
static void advance(long steps)
{
    for (long i = 0; i < steps; i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
    }
}
int main(void)
{
    advance(5000);
    unsigned long seen = state;
    return seen == 0;
}
";

#[test]
fn what_changes_with_every_statement_has_changed_last_right_before() {
    let sample = Sample::of("volatile.c", VOLATILE);
    let [_, before, after] = last_states();
    let bit = (1..63).find(|bit| after >> bit & 1 == 1).expect("a bit that was not set at first");
    let bit_changed = format!("fred-reverse-watch state >> {bit} & 1");
    let lines = ["break 14", "run", "fred-reverse-watch state", "print i", "fred-undo", &bit_changed];
    let events = gdb(&sample, &lines);
    assert!(events.iter().all(is_done), "{events:#?}");
    let result = &events[2]["result"];
    assert_eq!(result["before"], before.to_string(), "{result}");
    assert_eq!(result["after"], after.to_string(), "{result}");
    assert_eq!(result["changed_by"]["line"], 7, "{result}");
    assert_eq!(place(&events[2]), (Some(7), Some("advance")));
    assert!(said(&events[3]).contains(&format!("= {}", ROUNDS - 1)), "{}", events[3]);
    // One bit of it changes in half of the rounds: which change is found is not promised, that it is one is.
    let result = &events[5]["result"];
    assert_eq!((&result["before"], &result["after"]), (&"0".into(), &"1".into()), "{result}");
}

const ONE_LINE: &str = "\
unsigned long sum;
static unsigned long twice(unsigned long x)
{
    return 2 * x;
}
int main(void)
{
    sum = 1;
    for (long i = 0; i < 5000; i++) sum += sum << 1 ^ (unsigned long)i;
    unsigned long seen = sum;
    for (long i = 0; i < 50; i++) seen += twice(i);
    return seen == 0;
}
";

#[test]
fn a_loop_on_one_line_is_one_stop() {
    let sample = Sample::of("oneline.c", ONE_LINE);
    let lines =
        ["break 10", "run", "fred-reverse-next", "print sum", "fred-reverse-next", "fred-undo 2", "fred-reverse-step"];
    let events = gdb(&sample, &[&lines[..], &["print sum", "fred-reverse-step"]].concat());
    assert!(events.iter().all(is_done), "{events:#?}");
    let lines: Vec<_> = [2, 4, 6, 8].map(|index| place(&events[index]).0).into();
    assert_eq!(lines, [Some(9), Some(8), Some(9), Some(8)], "{events:#?}");
    assert!(said(&events[3]).contains("= 1"), "{}", events[3]);
    assert!(said(&events[7]).contains("= 1"), "{}", events[7]);
}

#[test]
fn calls_in_a_loop_on_one_line_are_gone_back_into() {
    let sample = Sample::of("oneline.c", &ONE_LINE.replace("5000", "50"));
    let lines = ["break 12", "run", "fred-reverse-step", "fred-reverse-step", "print x", "fred-undo 2"];
    let events = gdb(&sample, &[&lines[..], &["fred-reverse-next"]].concat());
    assert!(events.iter().all(is_done), "{events:#?}");
    assert_eq!(place(&events[2]), (Some(5), Some("twice")), "{}", events[2]);
    assert_eq!(place(&events[3]), (Some(4), Some("twice")), "{}", events[3]);
    assert!(said(&events[4]).contains("= 49"), "{}", events[4]);
    assert_eq!(place(&events[6]), (Some(11), Some("main")), "{}", events[6]);
}

#[test]
fn a_share_of_the_run_can_be_in_the_middle_of_a_loop() {
    let sample = Sample::of("volatile.c", &VOLATILE.replace("5000", "100000000"));
    let events = gdb(&sample, &["break 14", "run", "fred-goto 10%", "fred-undo"]);
    assert!(events.iter().all(is_done), "{events:#?}");
    // What the run waited for a processor counts as its time: on a busy machine the share can be behind the loop.
    assert!(matches!(place(&events[2]), (_, Some("advance")) | (Some(13), Some("main"))), "{}", events[2]);
    assert_eq!(place(&events[3]), (Some(14), Some("main")));
}

const ASKED: &str = "\
int asked, total;
int ask(void)
{
    asked++;
    return total;
}
int main(void)
{
    for (int i = 0; i < 20; i++)
        total += i;
    return total == 0;
}
";

#[test]
fn what_an_expression_changes_is_never_there() {
    let sample = Sample::of("asked.c", ASKED);
    let events = gdb(
        &sample,
        &["break 11", "run", "fred-reverse-watch ask() < 10", "print asked", "print total", "fred-undo", "print asked"],
    );
    assert!(events.iter().all(is_done), "{events:#?}");
    assert_eq!(events[2]["result"]["changed_by"]["line"], 10, "{}", events[2]);
    assert!(said(&events[3]).contains("= 0"), "{}", events[3]);
    assert!(said(&events[4]).contains("= 6"), "{}", events[4]);
    assert!(said(&events[6]).contains("= 0"), "{}", events[6]);
}

#[test]
fn a_hot_loop_is_gone_back_into_and_found_in() {
    // Its rounds are counted in the program: by stops it would take hours.
    let sample = Sample::of("volatile.c", &VOLATILE.replace("5000", "20000000"));
    let lines =
        ["break 13", "run", "fred-reverse-watch state", "fred-reverse-step", "fred-undo 2", "fred-reverse-step"];
    let events = gdb(&sample, &lines);
    assert!(events.iter().all(is_done), "{events:#?}");
    assert_eq!(
        (place(&events[2]).0, place(&events[3]).0, place(&events[5]).0),
        (Some(7), Some(6), Some(9)),
        "{events:#?}"
    );
}

#[test]
fn runs_end_in_the_midst_of_what_is_inlined() {
    let sample = Sample::made(&["inlined.c"], "gcc -g -O2 -o program inlined.c");
    let events = gdb(&sample, &["break 26", "run", "fred-reverse-watch level < 60", "print level"]);
    assert!(events.iter().all(is_done), "{events:#?}");
    assert_eq!(events[2]["result"]["after"], "0", "{}", events[2]);
    assert_eq!(events[2]["result"]["changed_by"]["line"], 20, "{}", events[2]);
    assert!(said(&events[3]).contains("= 59"), "{}", events[3]);
}

const TWO_CALLS: &str = "\
volatile long filled, state = 1, found;
static long part(long i)
{
    return i & 3;
}
static void fill(long rounds)
{
    for (long i = 0; i < rounds; i++)
        filled += part(i);
}
static void look(long rounds)
{
    for (long i = 0; i < rounds; i++) {
        state = state * 5 + 1;
        if (i == rounds - 9)
            found = 17;
    }
    __builtin_trap();
}
int main(void)
{
    fill(20000000);
    look(9000);
}
";

#[test]
fn a_call_at_the_address_of_the_one_before_is_another_one() {
    // Time leads into the call before the one that makes the change, and both have the same place on the stack.
    let sample = Sample::of("calls.c", TWO_CALLS);
    let events = gdb(&sample, &["run", "fred-reverse-watch found", "print i"]);
    assert!(events.iter().all(is_done), "{events:#?}");
    assert_eq!(place(&events[1]), (Some(16), Some("look")), "{}", events[1]);
    assert!(said(&events[2]).contains("= 8991"), "{}", events[2]);
    assert!(events[1]["cost"]["evaluations"].as_u64() <= Some(60), "{}", events[1]);
}

const DEEP: &str = "\
static volatile long written;
static void nested(int depth)
{
    written += depth;
    if (depth > 0)
        nested(depth - 1);
    written += 2 * depth;
}
int main(void)
{
    for (int round = 0; round < 2000; round++)
        nested(round % 100);
    nested(400);
    __builtin_trap();
}
";

#[test]
fn of_many_calls_of_a_function_by_itself_one_is_found() {
    let sample = Sample::of("deep.c", DEEP);
    // 9,999,000 by the loop. On the way in, and on the way out: 400 + 399 + ... + 301 = 35,050, and all of them are 80,200.
    let way_in = ["run", "fred-reverse-watch written <= 10034000", "print depth"];
    let way_out = ["fred-undo", "fred-reverse-watch written < 10089000", "print depth"];
    let events = gdb(&sample, &[&way_in[..], &way_out[..]].concat());
    assert!(events.iter().all(is_done), "{events:#?}");
    assert_eq!(place(&events[1]), (Some(4), Some("nested")), "{}", events[1]);
    assert!(said(&events[2]).contains("= 301"), "{}", events[2]);
    // 80,200 and twice the sum of 1 to depth: 9,800 are reached with 99 (2 * 4,950).
    assert_eq!(place(&events[4]), (Some(7), Some("nested")), "{}", events[4]);
    assert!(said(&events[5]).contains("= 99"), "{}", events[5]);
    // Call for call it is some six for each.
    for index in [1, 4] {
        assert!(events[index]["cost"]["evaluations"].as_u64() <= Some(80), "{}", events[index]);
    }
}

#[test]
fn a_statement_that_takes_long_is_gone_back_to_at_its_beginning() {
    // The search is led into its midst, in code without line numbers, from which there is one step to the end.
    let make = "gcc -O1 -DOUTSIDE -c -o outside.o long.c && gcc -g -O0 -o program long.c outside.o";
    let sample = Sample::made(&["long.c"], make);
    let there = ["break 15", "break 16", "run", "continue", "print $pc"];
    let back = ["break 17", "continue", "fred-reverse-watch result > 1", "print $pc"];
    let events = gdb(&sample, &[&there[..], &back[..]].concat());
    assert!(events.iter().all(is_done), "{events:#?}");
    assert_eq!(place(&events[7]), (Some(16), Some("main")), "{}", events[7]);
    let pc = |event: &Value| said(event).split_once("= ").map(|(_, pc)| pc.trim().to_owned());
    assert_eq!(pc(&events[8]), pc(&events[4]));
}

const CALLS_BEFORE: &str = "\
static volatile long n;
static void computes(void)
{
    for (long i = 0; i < 5000000; i++)
        n++;
}
static void stops(void)
{
    char large[4096];
    large[7] = (char)n;
    n += large[7];
}
int main(void)
{
    n = 1;
    computes();
    stops();
    return 0;
}
";

#[test]
fn a_call_made_before_is_not_stepped_through_though_its_frame_has_the_same_address() {
    let sample = Sample::of("before.c", CALLS_BEFORE);
    let back = ["fred-reverse-next"; 4];
    let events = gdb(&sample, &[&["break 11", "run"][..], &back].concat());
    assert!(events.iter().all(is_done), "{events:#?}");
    let lines: Vec<_> = events[2..].iter().map(place).collect();
    let main = |line| (Some(line), Some("main"));
    assert_eq!(lines, [(Some(10), Some("stops")), main(17), main(16), main(15)]);
    // Nor by a step, which goes back into it.
    let back = ["fred-reverse-step"; 4];
    let events = gdb(&sample, &[&["break 11", "run"][..], &back].concat());
    assert!(events.iter().all(is_done), "{events:#?}");
    let lines: Vec<_> = events[2..].iter().map(place).collect();
    let computes = |line| (Some(line), Some("computes"));
    assert_eq!(lines, [(Some(10), Some("stops")), main(17), computes(6), computes(4)]);
}

#[test]
fn what_code_without_lines_has_called_is_gone_back_in_statement_by_statement() {
    // A step from before goes over the whole of it: a callback, and a handler.
    let sample = Sample::made(&["compare.c"], "gcc -g -O0 -o program compare.c");
    let back = ["fred-reverse-next"; 4];
    let out = ["fred-reverse-finish"];
    let events = gdb(&sample, &[&["break 9 if calls == 3", "run"][..], &back, &out].concat());
    assert!(events.iter().all(is_done), "{events:#?}");
    let lines: Vec<_> = events[2..].iter().map(place).collect();
    let compare = |line| (Some(line), Some("compare"));
    assert_eq!(lines, [compare(8), compare(7), compare(11), compare(10), (Some(16), Some("main"))]);

    let sample = Sample::made(&["raised.c"], "gcc -g -O0 -o program raised.c");
    let begin = ["handle SIGUSR1 nostop noprint", "break 8", "run"];
    let events = gdb(&sample, &[&begin[..], &back].concat());
    assert!(events.iter().all(is_done), "{events:#?}");
    let lines: Vec<_> = events[3..].iter().map(place).collect();
    let main = |line| (Some(line), Some("main"));
    assert_eq!(lines, [(Some(7), Some("on_user")), main(14), main(13), main(12)]);
}

#[test]
fn a_handler_that_was_stepped_over_to_is_found_as_one_that_was_run_into() {
    // `syscall` leaves the trap flag of who steps over it in r11, and the handler's frame keeps that in memory. What XSAVE does not write
    // of that frame is what was on the dead stack; whether that differs depends on where the stack begins.
    let sample = Sample::made(&["stepped.c"], "gcc -g -O0 -o program stepped.c");
    let begin = ["handle SIGUSR1 nostop noprint", "break on_user", "run"];
    let events = gdb(&sample, &[&begin[..], &["fred-reverse-next"; 2]].concat());
    assert!(events.iter().all(is_done), "{events:#?}");
    assert_eq!((place(&events[2]).0, place(&events[3]).0, place(&events[4]).0), (Some(10), Some(18), Some(17)));
}

/// The jump of two bytes with which the loop begins leads to its trampoline by a board in the function before it.
#[test]
fn steps_back_from_a_function_beside_a_loop_are_those_forward_in_reverse() {
    let sample = Sample::made(&["boards.c"], "gcc -g -o program boards.c");
    let (begin, steps) = (["break main", "run"], 30);
    let forward: Vec<&str> = begin.into_iter().chain(std::iter::repeat_n("step", steps)).collect();
    let forward = gdb(&sample, &forward);
    // From one checkpoint each: the stretch is long.
    let all = format!("step {steps}");
    let back: Vec<&str> =
        begin.into_iter().chain([all.as_str()]).chain(std::iter::repeat_n("fred-reverse-step", steps)).collect();
    let back = gdb(&sample, &back);
    assert!(back.iter().all(is_done), "{back:#?}");
    let places = |events: &[Value]| -> Vec<String> {
        events.iter().map(|event| format!("{:?}, depth {}", place(event), event["stop"]["depth"])).collect()
    };
    let mut wanted = places(&forward[1..]);
    wanted.reverse();
    assert_eq!(places(&back[2..]), wanted);
}

/// Inlined calls that begin where no line does are stops, too; and main begins where gdb's breakpoint at it is.
#[test]
fn steps_back_in_optimised_code_are_those_forward_in_reverse() {
    let sample = Sample::made(&["moved.c"], "gcc -g -O2 -o program moved.c");
    let begin = ["break main", "run"];
    let steps: Vec<&str> = begin.into_iter().chain(std::iter::repeat_n("step", 9)).collect();
    let forward = gdb(&sample, &steps);
    let depth = |event: &Value| event["stop"]["depth"].as_u64();
    let places: Vec<_> = forward[1..].iter().map(|event| (place(event), depth(event))).collect();
    assert!(places.iter().filter(|(_, depth)| *depth == Some(2)).count() > 1, "{places:?}");
    for at in 1..=9 {
        let all = format!("step {at}");
        let moves = ["fred-reverse-step", "fred-undo", "fred-reverse-next"];
        let moved = gdb(&sample, &[&begin[..], &[&all], &moves].concat());
        assert_eq!((place(&moved[2]), depth(&moved[2])), places[at], "{all}");
        assert_eq!((place(&moved[3]), depth(&moved[3])), places[at - 1], "back from {at} of {places:?}");
        let outer = places[..at].iter().rfind(|(_, depth)| *depth <= places[at].1);
        assert_eq!((place(&moved[5]), depth(&moved[5])), *outer.expect("main"), "out from {at} of {places:?}");
        // The place is the same one where something has been changed there.
        let changed = gdb(&sample, &[&begin[..], &[&all, "set variable zero = 0", "fred-reverse-step"]].concat());
        assert_eq!(
            (place(&changed[4]), depth(&changed[4])),
            places[at - 1],
            "back from a change at {at} of {places:?}"
        );
    }
}

/// What looks like the extended state in the frame of a signal is none: its words are compared.
#[test]
fn rounds_that_differ_beside_the_mark_of_a_signal_frame_are_told_apart() {
    let sample = Sample::made(&["sealed.c"], "gcc -g -O0 -o program sealed.c");
    let lines = [
        "break 13 if seal.round == 30",
        "run",
        "fred-reverse-step",
        "print seal.round",
        "fred-reverse-step 3",
        "print seal.round",
    ];
    let events = gdb(&sample, &lines);
    assert_eq!((place(&events[2]), said(&events[3]).trim_end()), ((Some(12), Some("main")), "$1 = 30"), "{events:#?}");
    assert_eq!((place(&events[4]), said(&events[5]).trim_end()), ((Some(13), Some("main")), "$2 = 29"), "{events:#?}");
}
