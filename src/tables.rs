//! The tables of `fred-history`, `fred-list` and `fred-when`, from the `result` of their reports. Pure.

use serde_json::Value;

/// The text for a command's result, if that command has a table. Ends with a newline unless empty.
pub fn of_command(name: &str, result: &Value) -> Option<String> {
    match name {
        "history" => Some(history(result)),
        "list" => Some(list(result)),
        "when" => Some(when(result)),
        _ => None,
    }
}

/// `[{number, line, effect, stop}]`, or an object with these as `rows`.
pub fn history(result: &Value) -> String {
    let rows = result.as_array().or_else(|| result["rows"].as_array()).map_or(&[][..], Vec::as_slice);
    if rows.is_empty() {
        return "no commands yet\n".into();
    }
    let cells = rows.iter().map(|row| {
        let effect = match text(&row["effect"]).as_str() {
            "queries" => "query".to_owned(),
            other => other.to_owned(),
        };
        vec![text(&row["number"]), text(&row["line"]), effect, place(&row["stop"])]
    });
    align(cells.collect(), &[true, false, false, false])
}

/// `{"checkpoints": [{id, origin, index, where, note, memory_kb, age_s, current}], "branches": [{name, number, current}],
/// "unrecorded": [{index, reason}]}`.
pub fn list(result: &Value) -> String {
    let rows = |key: &str| result[key].as_array().cloned().unwrap_or_default();
    let mark = |row: &Value| if row["current"] == true { "*" } else { " " }.to_owned();
    let mut out = String::new();
    let checkpoints = rows("checkpoints");
    if checkpoints.is_empty() {
        out.push_str("no checkpoints\n");
    } else {
        let mut table = vec![["", "id", "history", "memory", "age", "where", "note"].map(str::to_owned).to_vec()];
        table.extend(checkpoints.iter().map(|row| {
            vec![
                mark(row),
                text(&row["id"]),
                text(&row["index"]),
                row["memory_kb"].as_f64().map(memory).unwrap_or_default(),
                row["age_s"].as_f64().map(age).unwrap_or_default(),
                place(&row["where"]),
                text(&row["note"]),
            ]
        }));
        out.push_str(&align(table, &[false, false, true, true, true, false, false]));
    }
    let branches = rows("branches");
    if !branches.is_empty() {
        let mut table = vec![["", "branch", "history"].map(str::to_owned).to_vec()];
        table.extend(branches.iter().map(|row| vec![mark(row), text(&row["name"]), text(&row["number"])]));
        out.push('\n');
        out.push_str(&align(table, &[false, false, true]));
    }
    for stopped in rows("unrecorded") {
        let (index, reason) = (text(&stopped["index"]), text(&stopped["reason"]));
        out.push_str(&format!("\nrecording stopped behind history {index}: {reason}\n"));
    }
    out
}

/// `{"index": n, "checkpoint": id or null, "share": 0.0-1.0, "events": n}`.
pub fn when(result: &Value) -> String {
    let mut parts = vec![format!("history {}", text(&result["index"]))];
    if !result["checkpoint"].is_null() {
        parts.push(format!("checkpoint {}", text(&result["checkpoint"])));
    }
    if let Some(share) = result["share"].as_f64() {
        parts.push(format!("{:.0}% of the recorded run", share * 100.0));
    }
    if !result["events"].is_null() {
        parts.push(format!("{} recorded events", text(&result["events"])));
    }
    parts.join(", ") + "\n"
}

/// `autocount.py:12 in main` for anything with `file`, `line` and `function`.
pub fn place(stop: &Value) -> String {
    let file = stop["file"].as_str().map(|file| file.rsplit('/').next().unwrap_or(file));
    let mut out = match (file, stop["line"].as_u64()) {
        (Some(file), Some(line)) => format!("{file}:{line}"),
        (Some(file), None) => file.to_owned(),
        (None, _) => String::new(),
    };
    if let Some(function) = stop["function"].as_str() {
        out.push_str(if out.is_empty() { "in " } else { " in " });
        out.push_str(function);
    }
    if stop["reason"] == "exited" {
        let status = stop["exit_code"].as_i64().map(|status| format!(" with status {status}"));
        out.push_str(if out.is_empty() { "exited" } else { ", exited" });
        out.push_str(&status.unwrap_or_default());
    }
    out
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn memory(kb: f64) -> String {
    match kb {
        kb if kb < 1024.0 => format!("{kb:.0} KB"),
        kb if kb < 1024.0 * 1024.0 => format!("{:.1} MB", kb / 1024.0),
        kb => format!("{:.1} GB", kb / 1024.0 / 1024.0),
    }
}

fn age(seconds: f64) -> String {
    match seconds {
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7200.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.0} h", s / 3600.0),
    }
}

/// Columns padded to their widest cell; `right` says which are aligned to the right.
fn align(rows: Vec<Vec<String>>, right: &[bool]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..right.len()).map(width).collect();
    let mut out = String::new();
    for row in &rows {
        let mut line = String::new();
        for ((cell, &width), &right) in row.iter().zip(&widths).zip(right) {
            // A column that is empty everywhere takes no room.
            if width == 0 {
                continue;
            }
            let cell = if right { format!("{cell:>width$}  ") } else { format!("{cell:<width$}  ") };
            line.push_str(&cell);
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn history_table() {
        let stop = json!({"reason": "breakpoint", "file": "/p/autocount.py", "line": 28, "function": "main"});
        let rows = json!([
            {"number": 9, "line": "break 28", "effect": "configures", "stop": null},
            {"number": 10, "line": "continue", "effect": "moves", "stop": stop},
        ]);
        insta::assert_snapshot!(history(&rows), @r"
         9  break 28  configures
        10  continue  moves       autocount.py:28 in main
        ");
        assert_eq!(history(&json!({"rows": rows})), history(&rows));
        assert_eq!(history(&json!([])), "no commands yet\n");
    }

    #[test]
    fn list_table() {
        let result = json!({
            "checkpoints": [
                {"id": "a1", "origin": "auto", "index": 0, "where": {"file": "/p/x.py", "line": 1, "function": "<module>"},
                 "note": null, "memory_kb": 512, "age_s": 61.2, "current": false},
                {"id": "1", "origin": "user", "index": 12, "where": null, "note": "before é", "memory_kb": 20480,
                 "age_s": 3.0, "current": true},
            ],
            "branches": [{"name": "main", "number": 12, "current": true}],
            "unrecorded": [{"index": 12, "reason": "shmat cannot be recorded"}],
        });
        insta::assert_snapshot!(list(&result), @r"
           id  history   memory   age  where               note
           a1        0   512 KB  61 s  x.py:1 in <module>
        *  1        12  20.0 MB   3 s                      before é

           branch  history
        *  main         12

        recording stopped behind history 12: shmat cannot be recorded
        ");
        assert_eq!(list(&json!({})), "no checkpoints\n");
    }

    #[test]
    fn when_line() {
        assert_eq!(
            when(&json!({"index": 4, "checkpoint": "a3", "share": 0.504, "events": 811})),
            "history 4, checkpoint a3, 50% of the recorded run, 811 recorded events\n"
        );
        assert_eq!(when(&json!({"index": 0, "checkpoint": null})), "history 0\n");
    }
}
