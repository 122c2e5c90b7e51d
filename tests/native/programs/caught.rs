//! A panic that is caught, in a function that is called back below code without lines.
use std::panic::{self, AssertUnwindSafe};

fn checked(i: i32) -> i32 {
    let twice = i * 2;
    if i == 2 {
        panic!("two");
    }
    twice + 1
}

fn main() {
    panic::set_hook(Box::new(|_| {}));
    let mut good = 0;
    for i in 0..4 {
        let outcome = panic::catch_unwind(AssertUnwindSafe(|| checked(i)));
        if outcome.is_ok() {
            good += 1;
        }
    }
    println!("{good}");
}
