//! Bisect on a scripted session.

use serde_json::json;

use super::*;
use crate::engine::{Failure, Report};
use crate::mock::{Mock, screen};

fn plan(until: &[&str]) -> Plan {
    Plan {
        expression: "num < 5".into(),
        must_be_false: false,
        start: vec!["break 28".into()],
        until: until.iter().map(ToString::to_string).collect(),
    }
}

fn found() -> Report {
    Report {
        place: "> /p/a.py(12)main()\n-> num += 1\n".into(),
        result: Some(json!({
            "expression": "num < 5", "before": "True", "after": "False",
            "changed_by": {"file": "/p/a.py", "line": 12, "function": "main"},
        })),
        ..Report::default()
    }
}

fn verdict(mock: &mut Mock, plan: &Plan) -> Verdict {
    let (screen, _, _) = screen("");
    bisect(&mut Runner::new(screen, OnError::GoOn), mock, plan)
}

#[test]
fn a_breakpoint_is_the_bad_point() {
    let mut mock = Mock::default()
        .stopping("continue", "> /p/a.py(28)main()\n", Mock::stop(Reason::Breakpoint, 28))
        .output("where", "  /p/a.py(26)<module>()\n")
        .reply("reverse-watch num < 5", Ok(found()));
    let verdict = verdict(&mut mock, &plan(&[]));
    assert_eq!(verdict.status(), 0);
    assert_eq!(
        mock.log,
        [
            "line break 28",
            "evaluate num < 5",
            "line continue",
            "evaluate num < 5",
            "line where",
            "reverse-watch num < 5",
            "line where"
        ]
    );
    let argv = ["python3".to_owned(), "-m".into(), "pdb".into(), "a.py".into()];
    insta::assert_snapshot!(report::summary(&verdict, &argv), @r"
    fred: num < 5 was True, becomes False by executing a.py:12 in main
    fred: to go there: fred -e 'break 28' -e continue -e 'fred-reverse-watch num < 5' -- python3 -m pdb a.py
    ");
    let Verdict::Found(case) = verdict else { panic!() };
    insta::assert_snapshot!(report::markdown(&case, &argv), @r"
    # `num < 5`

    num < 5 was True, becomes False by executing a.py:12 in main

    | before | after |
    | --- | --- |
    | `True` | `False` |

    ## The statement

    `/p/a.py`:12

    ## Backtrace at the statement

    ```
      /p/a.py(26)<module>()
    ```

    ## Backtrace at the bad point

    ```
      /p/a.py(26)<module>()
    ```

    ## To go there

    ```
    fred -e 'break 28' -e continue -e 'fred-reverse-watch num < 5' -- python3 -m pdb a.py
    ```

    or, at the prompt of `fred -- python3 -m pdb a.py`:

    ```
    break 28
    continue
    fred-reverse-watch num < 5
    ```
    ");
}

#[test]
fn just_before_the_exit() {
    for reason in [Reason::Entry, Reason::Exited] {
        let mut mock = Mock::default()
            .stopping("continue", "The program finished\n", Mock::stop(reason, 1))
            .reply("reverse-watch num < 5", Ok(found()));
        assert_eq!(verdict(&mut mock, &plan(&[])).status(), 0);
        assert_eq!(mock.log[3], "reverse-step 1");
        let mut mock = Mock::default().stopping("continue", "", Mock::stop(reason, 1));
        assert_eq!(verdict(&mut mock, &plan(&["continue"])).status(), 3);
    }
}

#[test]
fn what_never_changed() {
    let failure = || Err(Failure::new("num < 5 never changed"));
    let mut mock = Mock::default().values(&[(true, "True"), (true, "True")]).reply("reverse-watch num < 5", failure());
    assert_eq!(verdict(&mut mock, &plan(&["next"])).status(), 1);
    let mut mock = Mock::default().values(&[(true, "True"), (true, "False")]).reply("reverse-watch num < 5", failure());
    assert_eq!(verdict(&mut mock, &plan(&["next"])).status(), 125);
}

#[test]
fn a_good_expression_must_be_false() {
    let good = Plan { must_be_false: true, ..plan(&["next"]) };
    for (known, value, status) in [(true, "False", 0), (true, "0", 0), (true, "True", 3), (false, "NameError", 3)] {
        let mut mock =
            Mock::default().values(&[(true, "True"), (known, value)]).reply("reverse-watch num < 5", Ok(found()));
        assert_eq!(verdict(&mut mock, &good).status(), status, "{value}");
    }
}

#[test]
fn a_debugger_that_ends() {
    let mut mock = Mock::default();
    assert_eq!(verdict(&mut mock, &plan(&["quit"])).status(), 3);
    let mut mock = Mock::default();
    mock.dies_at = Some(("next", 139));
    assert_eq!(verdict(&mut mock, &plan(&["next"])).status(), 3);
}
