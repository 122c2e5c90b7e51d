//! pdb steps one thread. What the others do meanwhile is put down to them, whatever Python and however long they have run.

mod native;
#[path = "recorded/world.rs"]
mod world;

use native::is_done;
use world::World;

/// Whoever adds to the log says who and where it is.
const PROGRAM: &str = "\
import queue, sys, threading, time

log = []
lock = threading.Lock()


def worker(orders, answers):
    me = threading.current_thread().name
    while True:
        order = orders.get()
        if order is None:
            return
        if order % 3 == 0:
            with lock:
                log.append((me, sys._getframe().f_lineno)); time.sleep(0.001)
        elif order % 3 == 1:
            time.sleep(0.002)
            log.append((me, sys._getframe().f_lineno))
        else:
            x = sum(range(order * 100)); log.append((me, sys._getframe().f_lineno))
        answers.put(order)


def pulse(stop):
    me = threading.current_thread().name
    while not stop.is_set():
        stop.wait(0.003)
        log.append((me, sys._getframe().f_lineno))


def main():
    me = threading.current_thread().name
    orders, answers = queue.Queue(), queue.Queue()
    stop = threading.Event()
    threads = [threading.Thread(target=worker, args=(orders, answers)) for _ in range(3)]
    threads.append(threading.Thread(target=pulse, args=(stop,)))
    for thread in threads:
        thread.start()
    for number in range(20):
        orders.put(number)
        if number % 7 == 0:
            log.append((me, sys._getframe().f_lineno))
        if number % 10 == 9:
            answers.get()
    for thread in threads[:-1]:
        orders.put(None)
    for thread in threads[:-1]:
        thread.join()
    stop.set()
    threads[-1].join()


main()
print(len(log))
";

/// The oldest that there is, the newest, and the one in PATH: before 3.12 a thread cannot be traced from outside.
fn pythons() -> Vec<String> {
    let home = std::env::var("HOME").unwrap_or_default();
    let versions = std::fs::read_dir(format!("{home}/.pyenv/versions")).into_iter().flatten().flatten();
    let mut found: Vec<(u32, String)> = versions
        .filter_map(|version| {
            let minor = version.file_name().to_str()?.strip_prefix("3.")?.split('.').next()?.parse().ok()?;
            let python = version.path().join("bin/python3");
            python.exists().then(|| (minor, python.to_string_lossy().into_owned()))
        })
        .collect();
    found.sort();
    let ends = [found.first().cloned(), found.last().cloned()];
    ends.into_iter().flatten().map(|(_, python)| python).chain(["python3".to_owned()]).collect()
}

#[test]
fn the_thread_and_the_statement_that_made_a_change_are_named() {
    for python in pythons() {
        eprintln!("{python}");
        let world = World::new().file("prog.py", PROGRAM);
        let mut lines = vec!["break 54".to_owned(), "continue".to_owned(), "p log".to_owned()];
        let wanted = [0, 4, 9, 13, 18];
        for number in wanted {
            lines.extend([format!("fred-reverse-watch len(log) > {number}"), "fred-undo".to_owned()]);
        }
        let events = world.fred(&[&python, "-m", "pdb"], &["prog.py"], &lines);
        assert!(events.iter().all(is_done), "{events:#?}");
        let log = events.iter().find(|event| event["line"] == "p log").and_then(|event| event["output"].as_str());
        // [('MainThread', 44), ('Thread-1 (worker)', 15), ...
        let log: Vec<(&str, u64)> = log
            .expect("the log")
            .split("('")
            .skip(1)
            .filter_map(|entry| {
                let (thread, rest) = entry.split_once("', ")?;
                Some((thread, rest.split(')').next()?.parse().ok()?))
            })
            .collect();
        let found = events.iter().filter(|event| event["command"] == "reverse-watch");
        let found: Vec<(&str, u64)> = found
            .map(|event| {
                let by = &event["result"]["changed_by"];
                assert_eq!(by["or_threads"], serde_json::Value::Null, "{event}");
                (by["thread"].as_str().unwrap_or("MainThread"), by["line"].as_u64().unwrap_or(0))
            })
            .collect();
        let truth: Vec<(&str, u64)> = wanted.map(|number| log[number]).to_vec();
        assert_eq!(found, truth, "{log:?}");
        assert!(truth.iter().any(|(thread, _)| *thread != "MainThread"), "{log:?}");
        assert_eq!(world.diverged(), 0, "{}", world.output());
    }
}

const SHARED: &str = "\
import threading
waiting = []
lock = threading.Lock()
def size():
    with lock:
        return len(waiting)
def work():
    for number in range(5):
        with lock:
            waiting.append(number)
def main():
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
main()
end = 1
";

/// An expression that takes a lock is not evaluated while somebody may hold it: who may have made the change is said.
#[test]
fn where_a_thread_cannot_be_looked_at_it_is_said() {
    let world = World::new().file("prog.py", SHARED);
    let lines = ["break 16", "continue", "fred-reverse-watch size() < 3"];
    let events = world.fred(&["python3", "-m", "pdb"], &["prog.py"], &lines.map(str::to_owned));
    assert!(events.iter().all(is_done), "{events:#?}");
    let by = &events[2]["result"]["changed_by"];
    assert_eq!(by["thread"], serde_json::Value::Null, "{by}");
    let threads = by["or_threads"].as_array().map(Vec::as_slice);
    assert!(
        matches!(threads, Some([thread]) if thread.as_str().is_some_and(|name| name.starts_with("Thread-1"))),
        "{events:#?}"
    );
}
