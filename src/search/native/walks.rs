//! The last stop of a kind in a stretch: run over statements until few are left, then step.

use super::chance::{self, Verdict};
use super::levels::common_frame;
use super::{After, Frame, Ground, Hit, Landing, Level, MANY_US, Machine, Moved, PLENTY_US, Passed, SHORT_US, Until};

/// How many changes of line before the wanted place the debugger begins to step. The first stop after an arbitrary place need
/// not be one that a forward run makes (it can be in the middle of a line); after one or two, the stops are the same.
pub const RUN_UP: usize = 3;

/// The same in code that is not in the order of its lines: with many inlined calls around it, it takes longer until the stops are those of a
/// forward run.
const RUN_UP_AMONG_INLINED: usize = 24;

/// How long the program may have run over such a run-up, in microseconds: calls are stepped over in it.
const RUN_UP_US: u64 = 200_000;

/// Hits that are passed at most in one run before time is used to come closer: about a tenth of a second of them.
const MOST_HITS: u64 = 4_096;

/// After so many runs that have come no nearer, a stretch is passed as a whole.
const STALLED: u32 = 2;

/// Hits that are looked at behind a call that was left otherwise than by returning.
const FEW_HITS: u64 = 8;

/// The last stop before the end of a stretch at a level or further out; its beginning counts, if it is one.
///
/// # Errors
/// As the machine's.
pub fn last_within<M: Machine>(
    machine: &mut M,
    from: &M::State,
    until: &Until<M::State>,
    level: &Level,
) -> Result<Option<M::State>, M::Error> {
    let first = machine.pass(from, until, level, MOST_HITS, None)?;
    if let Some(found) = before_loop(machine, from, until, level, &first)? {
        return Ok(found);
    }
    let (mut nearer, mut passed) = approach(machine, from, until, level, first)?;
    loop {
        let near = nearer.pop();
        let begin = near.as_ref().unwrap_or(from);
        let found = last_of(machine, begin, until, level, &passed)?;
        if let Some(later) = left_behind(machine, begin, found.as_ref(), until, level, &passed)? {
            return Ok(last_within(machine, &later, until, level)?.or(Some(later)));
        }
        if found.is_some() || near.is_none() {
            return Ok(found);
        }
        // That was in the middle of the last statement: from further back.
        passed = machine.pass(nearer.last().unwrap_or(from), until, level, u64::MAX, None)?;
    }
}

/// A later stop than the one that steps have found last from a beginning on, if they have found one: a call that does not return, but is
/// left by `longjmp` or an exception, takes a step or a `finish` along to wherever the program comes then. The first statement behind it
/// that is met in a frame in which the end is, too. `passed` are the hits of the stretch.
fn left_behind<M: Machine>(
    machine: &mut M,
    begin: &M::State,
    found: Option<&M::State>,
    until: &Until<M::State>,
    level: &Level,
    passed: &Passed,
) -> Result<Option<M::State>, M::Error> {
    let (Some(last), Until::State(end)) = (passed.last.last(), until) else { return Ok(None) };
    let stack = machine.frames(end)?;
    let frames = machine.frames(found.unwrap_or(begin))?;
    let Some(frame) = common_frame(&frames, &stack).map(|index| frames[index]) else { return Ok(None) };
    // What is stopped at is in such a frame; the beginning may be in a call from it.
    if found.is_some() && frames.first().is_none_or(|first| first.address != frame.address) {
        return Ok(None);
    }
    // Calls that are made one after the other have frames at the same address.
    let function = machine.function(frame.pc);
    let mut same = stack.iter().filter(|one| one.address == frame.address);
    if !same.any(|one| machine.function(one.pc) == function) {
        return Ok(None);
    }
    let Some(line) = machine.line(frame.pc) else { return Ok(None) };
    if (last.frame, last.line) == (frame.address, line) {
        return Ok(None);
    }
    let found = found.unwrap_or(begin);
    let others = Level { at_least: frame.address, without: Some(line), ..level.clone() };
    let behind = machine.pass(found, until, &others, FEW_HITS, None)?;
    // Where a function is entered no step stops; and coroutines may run the same functions on other stacks, and have not left the call for
    // good.
    let mut met = behind.last.iter().filter(|hit| machine.function(hit.address) != Some(hit.address));
    match met.find(|hit| stack.iter().any(|one| one.address == hit.frame)) {
        Some(hit) => machine.at_hit(found, &others, hit.number).map(Some),
        None => Ok(None),
    }
}

/// The last stop of a stretch that ends in or right behind a loop on one line, from which nothing else is done: it is looked for
/// among what was before. `None` if this is not such a stretch, as its first hits show.
fn before_loop<M: Machine>(
    machine: &mut M,
    from: &M::State,
    until: &Until<M::State>,
    level: &Level,
    first: &Passed,
) -> Result<Option<Option<M::State>>, M::Error> {
    let Some(hit) = first.last.last().filter(|_| !first.reached && changes_of(&first.last).is_empty()) else {
        return Ok(None);
    };
    let inside = machine.at_hit(from, level, first.count)?;
    if machine.closed_line(&inside)? != Some(hit.line) {
        return Ok(None);
    }
    let others = Level { without: Some(hit.line), ..level.clone() };
    let passed = machine.pass(from, until, &others, MOST_HITS, None)?;
    if !passed.reached {
        return Ok(None);
    }
    let changes = changes_of(&passed.last);
    if let Some(&number) = changes.len().checked_sub(RUN_UP - 1).and_then(|index| changes.get(index)) {
        let begin = machine.at_hit(from, &others, number)?;
        return walk(machine, &begin, None, until, level, Around::Often).map(Some);
    }
    // In the middle of the loop there is none: from further back.
    if machine.is_stop(from) { walk_from(machine, from, until, level, Around::Often).map(Some) } else { Ok(Some(None)) }
}

/// The last stop of a stretch on which statements of the level were passed.
fn last_of<M: Machine>(
    machine: &mut M,
    from: &M::State,
    until: &Until<M::State>,
    level: &Level,
    passed: &Passed,
) -> Result<Option<M::State>, M::Error> {
    let Some(first) = passed.last.first() else {
        // No line begins in between.
        return if machine.stops_after_return() {
            walk_from(machine, from, until, level, Around::Once)
        } else {
            counted(machine, from, level)
        };
    };
    let changes = changes_of(&passed.last);
    let entries = entries_of_end(machine, until, passed)?;
    for (entry, hidden) in &entries {
        if (*hidden || changes.len() < RUN_UP)
            && let Some(found) = last_in_call(machine, from, until, level, passed, entry)?
        {
            return Ok(Some(found));
        }
    }
    let whole = passed.count == passed.last.len() as u64;
    let in_order = passed.last.last().is_some_and(|hit| machine.line(hit.address).is_some());
    if !in_order {
        // Not before the call was made in which the end is: a step from there may go over all of it.
        let entered = entries.first().map_or(0, |(entry, _)| entry.number);
        let inside: Vec<u64> = changes.iter().copied().filter(|number| *number > entered).collect();
        if let Some(begin) = far_run_up(machine, from, until, level, &inside)?
            && let Some(found) = walk(machine, &begin, None, until, level, Around::Once)?
        {
            // The debugger may have lost the program on the way, where it stepped over an exception.
            let passed = machine.pass(&found, until, level, MOST_HITS, None)?;
            if passed.reached && changes_of(&passed.last).len() < 2 * RUN_UP {
                return Ok(Some(found));
            }
        }
    }
    // Where a function is one line, there are fewer stops than changes of line: its entry and the stop behind its prologue are one.
    let mut run_up = RUN_UP;
    while let Some(&number) = changes.len().checked_sub(run_up).and_then(|index| changes.get(index)) {
        let begin = machine.at_hit(from, level, number)?;
        if let Some(found) = walk(machine, &begin, None, until, level, Around::Once)? {
            return Ok(Some(found));
        }
        run_up *= 2;
    }
    // From the program's entry steps go through code without lines.
    let is_begin = machine.is_stop(from) && machine.frames(from)?.iter().any(|frame| frame.lines);
    let begin = if whole && is_begin {
        return walk_from(machine, from, until, level, Around::Once);
    } else if whole {
        // Steps from there on might go through a long loop; the first statement that was met need not be a stop.
        machine.at_hit(from, level, first.number)?
    } else if changes.len() >= RUN_UP {
        return walk_from(machine, from, until, level, Around::Often);
    } else {
        // One line, over and over: what was before it?
        let other = Level { without: passed.last.last().map(|hit| hit.line), ..level.clone() };
        let passed = machine.pass(from, until, &other, MOST_HITS, None)?;
        let changes = changes_of(&passed.last);
        match changes.len().checked_sub(RUN_UP - 1).and_then(|index| changes.get(index)) {
            Some(&number) if passed.reached => machine.at_hit(from, &other, number)?,
            _ => return walk_from(machine, from, until, level, Around::Often),
        }
    };
    let around = if whole { Around::Once } else { Around::Often };
    walk(machine, &begin, None, until, level, around)
}

/// Where to begin to step in code that is not in the order of its lines; `None` if there are too few changes of line, or it would take too long.
fn far_run_up<M: Machine>(
    machine: &mut M,
    from: &M::State,
    until: &Until<M::State>,
    level: &Level,
    changes: &[u64],
) -> Result<Option<M::State>, M::Error> {
    let mut run_up = RUN_UP_AMONG_INLINED.min(changes.len());
    while run_up > RUN_UP {
        let begin = machine.at_hit(from, level, changes[changes.len() - run_up])?;
        if matches!(until, Until::State(_)) && machine.span(&begin, until) <= RUN_UP_US {
            return Ok(Some(begin));
        }
        run_up /= 2;
    }
    Ok(None)
}

/// The hits at which calls were entered in which a stretch ends, innermost first, and whether it is the innermost and code without lines
/// has made it, as a library that calls back or the kernel for a handler of a signal: a step from before goes over all that such code
/// does, and so over the stops of this call.
fn entries_of_end<M: Machine>(
    machine: &mut M,
    until: &Until<M::State>,
    passed: &Passed,
) -> Result<Vec<(Hit, bool)>, M::Error> {
    let Until::State(state) = until else { return Ok(Vec::new()) };
    let frames = machine.frames(state)?;
    let mut stack = frames.iter().skip_while(|frame| frame.inlined > 0).peekable();
    let mut entries = Vec::new();
    let mut innermost = true;
    while let Some(here) = stack.next().filter(|frame| frame.lines) {
        let hidden = std::mem::take(&mut innermost) && stack.peek().is_some_and(|caller| !caller.lines);
        let Some(entry) = machine.function(here.pc) else { continue };
        let entered = |hit: &&Hit| hit.address == entry && hit.frame == here.address;
        entries.extend(passed.last.iter().rfind(entered).map(|hit| (*hit, hidden)));
    }
    Ok(entries)
}

/// The last stop of a call that was entered at a hit: where its prologue ends, if there is none behind that.
fn last_in_call<M: Machine>(
    machine: &mut M,
    from: &M::State,
    until: &Until<M::State>,
    level: &Level,
    passed: &Passed,
    entry: &Hit,
) -> Result<Option<M::State>, M::Error> {
    let begin = machine.at_hit(from, level, entry.number)?;
    if let Some(found) = walk(machine, &begin, None, until, level, Around::Once)? {
        return Ok(Some(found));
    }
    // Of a function on one line.
    let behind = passed.last.iter().find(|hit| hit.number == entry.number + 1);
    match behind.filter(|hit| (hit.frame, hit.line) == (entry.frame, entry.line)) {
        Some(hit) if machine.line(hit.address).is_some() => machine.at_hit(from, level, hit.number).map(Some),
        _ => Ok(None),
    }
}

/// How often the last line of a stretch is gone round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Around {
    /// No more often than can be stepped over.
    Once,
    /// Maybe a million times, each instruction of which a step would go over one by one.
    Often,
}

/// Whether a stop is the last one of a stretch: from its line nothing is called, be it for a signal, and no other line of it or of its
/// callers is met before the end. The debugger then need not step over it.
fn is_last<M: Machine>(machine: &mut M, at: &M::State, until: &Until<M::State>) -> Result<bool, M::Error> {
    let Some(line) = machine.closed_line(at)? else { return Ok(false) };
    let frames = machine.frames(at)?;
    let Some(level) = Level::of(&frames, 0) else { return Ok(false) };
    let others = Level { without: Some(line), ..level.whole() };
    let passed = machine.pass(at, until, &others, 1, None)?;
    Ok(passed.reached && passed.count == 0 && passed.handled == 0)
}

/// A beginning, if it is a stop at a level, with all inlined calls entered that are of the level.
fn counted<M: Machine>(machine: &mut M, from: &M::State, level: &Level) -> Result<Option<M::State>, M::Error> {
    match machine.frames(from)?.first().filter(|frame| level.has(frame)) {
        Some(frame) if machine.is_stop(from) => machine.entered(from, level.most_inlined(frame)).map(Some),
        _ => Ok(None),
    }
}

/// The numbers of the hits at which another line, or the same in another frame, begins.
fn changes_of(hits: &[Hit]) -> Vec<u64> {
    let same = |pair: &&[Hit]| (pair[0].frame, pair[0].line) != (pair[1].frame, pair[1].line);
    hits.windows(2).filter(same).map(|pair| pair[1].number).collect()
}

/// States after `from`, nearer and nearer to the end, and the hits from the last of them (or from `from`, if there are none) to
/// the end, which are not too many. `first` are the first ones of all.
fn approach<M: Machine>(
    machine: &mut M,
    from: &M::State,
    until: &Until<M::State>,
    level: &Level,
    first: Passed,
) -> Result<(Vec<M::State>, Passed), M::Error> {
    let mut nearer: Vec<M::State> = Vec::new();
    if first.reached {
        return Ok((nearer, first));
    }
    let mut span = time_to(machine, from, until)?;
    if span <= PLENTY_US {
        let passed = machine.pass(from, until, level, u64::MAX, Some(MANY_US))?;
        if passed.reached {
            return Ok((nearer, passed));
        }
    }
    // What a run costs before it is fast can be more than what it comes nearer.
    let mut stalled = 0;
    while span > SHORT_US && stalled < STALLED {
        // Close before the end, with room for the clock's error.
        let ahead = span - (span / 4).max(SHORT_US / 2);
        match machine.part_way(nearer.last().unwrap_or(from), ahead, until)? {
            After::End(micros) => span = micros.min(ahead),
            After::At(middle) => match machine.reaches(&middle, (span - ahead) * 4 + 20_000, until)? {
                Some(micros) => {
                    stalled += u32::from(micros > span - span / 8);
                    span = micros.min(span - 1);
                    let (most, time) = if span <= PLENTY_US { (u64::MAX, Some(MANY_US)) } else { (MOST_HITS, None) };
                    let passed = machine.pass(&middle, until, level, most, time)?;
                    nearer.push(middle);
                    if passed.reached {
                        return Ok((nearer, passed));
                    }
                }
                None => span = ahead,
            },
        }
    }
    if ends_at_stop(machine, until) {
        let begin = nearer.last().unwrap_or(from).clone();
        let found = chance::nearer(machine, begin, until, span, |_, _| Ok(Verdict::Nearer))?;
        nearer.extend(found.moved.then_some(found.from));
    }
    let passed = machine.pass(nearer.last().unwrap_or(from), until, level, u64::MAX, None)?;
    Ok((nearer, passed))
}

/// How long a stretch takes, in microseconds: what is known of it errs, and a busy machine takes longer.
pub(super) fn time_to<M: Machine>(machine: &mut M, from: &M::State, until: &Until<M::State>) -> Result<u64, M::Error> {
    let mut span = machine.span(from, until) * 2 + 10_000;
    // On a busy machine it takes longer.
    let longest = machine.longest(from, until);
    loop {
        match machine.after(from, span, until)? {
            After::End(micros) => return Ok(micros),
            After::At(_) if span >= longest => return Err(machine.missed()),
            After::At(_) => span = (span * 2).min(longest),
        }
    }
}

/// Whether a stretch ends where the debugger has stopped, and not wherever the program was at some time.
pub(super) fn ends_at_stop<M: Machine>(machine: &M, until: &Until<M::State>) -> bool {
    match until {
        Until::State(state) => machine.is_stop(state),
        Until::End => true,
    }
}

/// Steps from a state, which counts if the debugger stops there, to the end; the last stop before that at a level.
fn walk_from<M: Machine>(
    machine: &mut M,
    from: &M::State,
    until: &Until<M::State>,
    level: &Level,
    around: Around,
) -> Result<Option<M::State>, M::Error> {
    let last = counted(machine, from, level)?;
    if around == Around::Often && last.is_some() && is_last(machine, from, until)? {
        return Ok(last);
    }
    walk(machine, from, last, until, level, around)
}

/// Whether a call that has been entered, whose frame counts by its address, is none of those in which the end is: it has returned
/// before that, and may have gone round a loop a million times. Its frame has the same address as those of other calls from the same
/// place.
fn is_over_before<M: Machine>(machine: &mut M, entered: &Frame, until: &Until<M::State>) -> Result<bool, M::Error> {
    let Until::State(state) = until else { return Ok(false) };
    let frames = machine.frames(state)?;
    let function = machine.function(entered.pc);
    let mut same = frames.iter().filter(|frame| frame.address == entered.address);
    Ok(!same.any(|frame| function.is_none() || machine.function(frame.pc) == function))
}

/// Steps from a state to the end, over what is deeper than the level; the last stop before the end that is not, or `last`.
fn walk<M: Machine>(
    machine: &mut M,
    from: &M::State,
    mut last: Option<M::State>,
    until: &Until<M::State>,
    level: &Level,
    around: Around,
) -> Result<Option<M::State>, M::Error> {
    let mut first = Some(set_out(machine, from, until)?);
    let mut stepped_from = machine.frames(from)?.first().map_or(0, |frame| frame.address);
    for _ in 0..machine.most_steps() {
        let mut moved = match first.take() {
            Some(moved) => moved,
            None => machine.step(until)?,
        };
        if let Moved::Stop(frame) = moved
            && frame.address < stepped_from
            && level.has(&frame)
            && frame.lands
            && is_over_before(machine, &frame, until)?
        {
            let inside = machine.here()?;
            let called = Level::of(&machine.frames(&inside)?, 0).map(|of| {
                if frame.address > level.at_least {
                    return Level { at_least: level.at_least, ..of }.whole();
                }
                // Another call has taken its place (a tail call), and the end is in that one.
                Level { functions: [of.functions, level.functions.clone()].concat(), ..level.clone() }
            });
            moved = machine.finish(until)?;
            if let Moved::Stop(frame) = moved
                && !frame.begins
            {
                moved = machine.step_on(until)?;
            }
            if moved == Moved::End {
                // The end is in the middle of the line from which it was called: the last stop is in there.
                return match called {
                    Some(called) => Ok(last_within(machine, &inside, until, &called)?.or(Some(inside))),
                    None => Ok(Some(inside)),
                };
            }
        }
        while let Moved::Stop(frame) = moved
            && !(level.has(&frame) && frame.lands)
        {
            if frame.lands && !level.called(&frame) {
                // In an inlined call.
                moved = machine.step(until)?;
                continue;
            }
            moved = machine.finish(until)?;
            // gdb goes on from the middle of a line after a call; where a row of the line table begins, be it of the same line,
            // it stops. lldb always does.
            if let Moved::Stop(frame) = moved
                && !level.called(&frame)
                && !frame.begins
            {
                moved = machine.step_on(until)?;
            }
        }
        match moved {
            Moved::End => return Ok(last),
            Moved::Stop(frame) => {
                stepped_from = frame.address;
                let here = machine.here()?;
                if around == Around::Often {
                    if is_last(machine, &here, until)? {
                        return Ok(Some(here));
                    }
                    machine.stand(&here)?;
                }
                last = Some(here);
            }
        }
    }
    Err(machine.astray("stepping does not come to the end of the stretch"))
}

/// The first step from a state. Where that is in code without lines it is left first.
///
/// # Errors
/// As the machine's.
pub fn set_out<M: Machine>(machine: &mut M, from: &M::State, until: &Until<M::State>) -> Result<Moved, M::Error> {
    let frames = machine.frames(from)?;
    machine.stand(from)?;
    let mut moved = Moved::End;
    for frame in frames.iter().take_while(|frame| !frame.lines).take(frames.len().saturating_sub(1)) {
        moved = match moved {
            Moved::Stop(now) if now.address > frame.address => continue,
            _ => machine.finish(until)?,
        };
        match moved {
            Moved::Stop(frame) if frame.lines && frame.begins => return Ok(moved),
            Moved::Stop(frame) if frame.lines => return machine.step_on(until),
            Moved::Stop(_) => {}
            Moved::End => return Ok(moved),
        }
    }
    machine.step(until)
}

/// The stop before the end of a stretch that `step` would have made, whatever its depth; the beginning of the stretch
/// if there is none.
///
/// # Errors
/// As the machine's.
pub fn last_step<M: Machine>(
    machine: &mut M,
    from: &M::State,
    until: &Until<M::State>,
    level: &Level,
) -> Result<M::State, M::Error> {
    Ok(step_within(machine, from, until, level)?.unwrap_or_else(|| from.clone()))
}

/// The same; `None` if there is no stop in the stretch, and its beginning is none.
pub(super) fn step_within<M: Machine>(
    machine: &mut M,
    from: &M::State,
    until: &Until<M::State>,
    level: &Level,
) -> Result<Option<M::State>, M::Error> {
    let level = level.clone().whole();
    let mut found = last_within(machine, from, until, &level)?;
    if found.is_none() {
        // It begins inside a call that returns before the end: from its outermost frame inwards.
        let frames = machine.frames(from)?;
        for index in (0..frames.len()).rev().filter(|index| frames[*index].address < level.at_least) {
            let Some(level) = Level::of(&frames, index).filter(|_| frames[index].lines) else { continue };
            found = last_within(machine, from, until, &level.whole())?;
            if found.is_some() {
                break;
            }
        }
    }
    let Some(mut found) = found.or_else(|| machine.is_stop(from).then(|| from.clone())) else { return Ok(None) };
    loop {
        if is_last(machine, &found, until)? {
            return Ok(Some(found));
        }
        machine.stand(&found)?;
        if machine.step(until)? == Moved::End {
            return match last_before_jump(machine, &found, until)? {
                Jumped::Inside(inside) => {
                    found = inside;
                    continue;
                }
                Jumped::Before(before) => Ok(Some(before)),
                Jumped::Not => Ok(Some(found)),
            };
        }
        // It goes into a call that is over when the end comes: the stop is in there.
        let inside = machine.here()?;
        let frames = machine.frames(&inside)?;
        found = match Level::of(&frames, 0) {
            Some(level) => last_within(machine, &inside, until, &level.whole())?.unwrap_or(inside),
            None if frames.first().is_some_and(|frame| !frame.lands) => return Ok(Some(found)),
            None => inside,
        };
    }
}

/// What has been found about jumps behind a stop.
enum Jumped<S> {
    /// There are none.
    Not,
    /// A stop in what the last one led to.
    Inside(S),
    /// The last stop before it.
    Before(S),
}

/// A stretch that the debugger steps over to its end can have statements of other functions: where longjmp(3) has led to one that had been
/// left, as generators and threads of a library do. It is no call from the stop, and need not be on the stack at the end.
fn last_before_jump<M: Machine>(
    machine: &mut M,
    from: &M::State,
    until: &Until<M::State>,
) -> Result<Jumped<M::State>, M::Error> {
    let jumps = machine.jumps(from)?;
    if jumps.instructions.is_empty() {
        return Ok(Jumped::Not);
    }
    let passed = machine.pass(from, until, &jumps, MOST_HITS, None)?;
    if !passed.reached || passed.count == 0 {
        return Ok(Jumped::Not);
    }
    let jump = machine.at_hit(from, &jumps, passed.count)?;
    if let Some(landed) = machine.landed(&jump, until)?
        && let Some(level) = Level::of(&machine.frames(&landed)?, 0)
        && let Some(inside) = last_within(machine, &landed, until, &level.whole())?
    {
        return Ok(Jumped::Inside(inside));
    }
    let frames = machine.frames(&jump)?;
    let Some(level) = (1..frames.len()).find(|index| frames[*index].lines).and_then(|index| Level::of(&frames, index))
    else {
        return Ok(Jumped::Not);
    };
    // The stop whose line jumps. The debugger loses the program where it steps over a jump.
    let end = Until::State(jump);
    let begin = match passed.count {
        1 => None,
        count => {
            let earlier = machine.at_hit(from, &jumps, count - 1)?;
            machine.landed(&earlier, &end)?
        }
    };
    Ok(match last_within(machine, begin.as_ref().unwrap_or(from), &end, &level.whole())? {
        Some(before) => Jumped::Before(before),
        None => Jumped::Not,
    })
}

/// The last hit of a level in a stretch.
///
/// # Errors
/// As the machine's.
pub fn last_hit<M: Machine>(
    machine: &mut M,
    from: &M::State,
    until: &Until<M::State>,
    level: &Level,
) -> Result<Option<M::State>, M::Error> {
    let first = machine.pass(from, until, level, MOST_HITS, None)?;
    let (nearer, passed) = approach(machine, from, until, level, first)?;
    match passed.last.last() {
        Some(hit) => machine.at_hit(nearer.last().unwrap_or(from), level, hit.number).map(Some),
        None => Ok(None),
    }
}

/// Which stop a move goes back to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Back {
    /// The one before, as `step` makes them.
    Step,
    /// The last one at this level or further out.
    Within(Level),
}

/// One move backwards over a ground. `level` is that of the present, for [`Back::Step`].
///
/// # Errors
/// As the machine's.
pub fn back<M: Machine>(
    machine: &mut M,
    ground: &Ground<M::State>,
    how: &Back,
    level: &Level,
) -> Result<Option<Landing<M::State>>, M::Error> {
    over_runs(machine, ground, |machine, from, until| match how {
        Back::Step => step_within(machine, from, until, level),
        Back::Within(level) => last_within(machine, from, until, level),
    })
}

/// Looks for the last place of a kind, stretch by stretch backwards. A stretch ends where the debugger has stopped, and begins
/// further and further back among the states that were kept on the way there, so that twice of it is run at most.
///
/// # Errors
/// As those of `look`.
pub fn over_runs<M: Machine>(
    machine: &mut M,
    ground: &Ground<M::State>,
    mut look: impl FnMut(&mut M, &M::State, &Until<M::State>) -> Result<Option<M::State>, M::Error>,
) -> Result<Option<Landing<M::State>>, M::Error> {
    let mut next = ground.anchors.len().checked_sub(1);
    while let Some(index) = next {
        let end = ground.next_stop(machine, index);
        let begin = ground.stop_before(machine, index);
        if ground.runs[index]
            && let Some(state) = look(machine, &ground.anchors[index], &ground.end(end - 1))?
        {
            return Ok(Some(Landing { state, anchor: index }));
        }
        let further = end.saturating_sub(2 * (end - index)).max(begin);
        next = if index == begin { index.checked_sub(1) } else { Some(further) };
    }
    Ok(None)
}
